//! The jobs and their outputs, or why there are none.

use std::collections::HashMap;
use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, TableStyle};
use reefguide_cli::status_cell;
use reefguide_worker::storage::StorageUri;

use super::jobs::Job;
use super::size::size;
use crate::failure::{Doing, Failure};

/// The beginning of all output keys. It is in the heading only, so that a row fits 80 columns.
const PREFIX: &str = "results/";

/// Lays out jobs that have ended, at most as wide as the terminal. `reasons` says why jobs failed, by their ids.
pub(super) fn table(
    jobs: &[Job],
    reasons: &HashMap<String, String>,
    bucket: &str,
) -> Result<String, Failure> {
    let place = format!("s3://{bucket}/{PREFIX}");
    let mut table = reefguide_cli::table(&["job", "type", "status", "seconds", "outputs", &place]);
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for job in jobs {
        let id = job.id.to_string();
        let seconds = job.seconds().map(|seconds| format!("{seconds:.1}"));
        let (outputs, place) = match job.outputs.files {
            0 => ("none".into(), reasons.get(&id).cloned().unwrap_or_default()),
            files => (
                format!("{files}, {}", size(job.outputs.bytes)),
                place_of(job)?,
            ),
        };
        table.add_row([
            Cell::new(id),
            Cell::new(job.job_type),
            status_cell(&job.status),
            Cell::new(seconds.unwrap_or_default()),
            Cell::new(outputs),
            Cell::new(place),
        ]);
    }
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if [0, 3].contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table.trim_fmt())
}

/// Where the outputs of a job are, without the prefix that is in the heading.
fn place_of(job: &Job) -> Result<String, Failure> {
    let uri = job.assignment.as_ref().map(|ran| ran.storage_uri.as_str());
    let uri: StorageUri = uri
        .unwrap_or_default()
        .parse()
        .doing("parsing a storage URI")?;
    Ok(match uri.key().strip_prefix(PREFIX) {
        Some(place) => place.to_owned(),
        None => uri.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::jobs::Outputs;
    use super::*;
    use reefguide_worker::job::JobStatus::{Failed, Succeeded};

    #[test]
    fn a_row_has_the_place_of_the_outputs_or_the_reason_why_there_are_none() {
        let reasons = HashMap::from([("7".into(), "bins is 0".into())]);
        let mut stored = Job::ended(Succeeded, (Succeeded, 2));
        stored.outputs = Outputs {
            files: 2,
            bytes: 2048,
        };
        let failed = Job::ended(Failed, (Failed, 0));
        let table = table(&[stored, failed], &reasons, "bucket").unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            [lines[2], lines[3]],
            [
                "  7  TEST  SUCCEEDED      1.2  2, 2.0 KiB  test/7/1",
                "  7  TEST  FAILED         1.2  none        bins is 0",
            ]
        );
    }
}
