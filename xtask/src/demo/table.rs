//! What became of the jobs.

use std::collections::HashMap;
use std::io::IsTerminal;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use reefguide_worker::storage::StorageUri;

use super::download::Outputs;
use super::jobs::Job;
use super::size::size;
use crate::failure::{Doing, Failure};

/// What the keys of all outputs begin with. Left out, a row fits 80 columns.
const PREFIX: &str = "results/";

/// A job that has ended.
#[derive(Debug)]
pub(super) struct Row {
    outputs: Outputs,
    cells: [String; 6],
}

impl Row {
    /// `reasons` says why jobs failed, by their ids.
    pub(super) fn new(
        job: &Job,
        outputs: &Outputs,
        reasons: &HashMap<String, String>,
    ) -> Result<Self, Failure> {
        let outputs = *outputs;
        let id = job.id.to_string();
        let seconds = job.seconds().map(|seconds| format!("{seconds:.1}"));
        let (files, place) = if outputs.files > 0 {
            let uri = job.assignment.as_ref().map(|ran| ran.storage_uri.as_str());
            let uri: StorageUri = uri.unwrap_or_default().parse().doing("where outputs are")?;
            let files = format!("{}, {}", outputs.files, size(outputs.bytes));
            let place = match uri.key().strip_prefix(PREFIX) {
                Some(place) => place.to_owned(),
                None => uri.to_string(),
            };
            (files, place)
        } else {
            ("none".into(), reasons.get(&id).cloned().unwrap_or_default())
        };
        let status = job.status.to_string();
        let seconds = seconds.unwrap_or_default();
        Ok(Self {
            outputs,
            cells: [id, job.job_type.into(), status, seconds, files, place],
        })
    }

    /// The number of output files.
    pub(super) fn files(&self) -> usize {
        self.outputs.files
    }
}

/// The jobs as a table, with where their outputs are or why there are none; on a terminal as wide as that at most.
pub(super) fn table(rows: &[Row], bucket: &str) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─')));
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    let place = format!("s3://{bucket}/{PREFIX}");
    table.set_header(["job", "type", "status", "seconds", "outputs", &place]);
    for row in rows {
        table.add_row(&row.cells);
    }
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if [0, 3].contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use reefguide_worker::job::JobStatus::{Failed, Succeeded};

    #[test]
    fn a_row_says_where_the_outputs_are_or_why_there_are_none() {
        let reasons = HashMap::from([("7".into(), "bins is 0".into())]);
        let stored = Outputs {
            files: 2,
            bytes: 2048,
        };
        let rows = [
            Row::new(&Job::ended(Succeeded, (Succeeded, 2)), &stored, &reasons).unwrap(),
            Row::new(
                &Job::ended(Failed, (Failed, 0)),
                &Outputs::default(),
                &reasons,
            )
            .unwrap(),
        ];
        let table = table(&rows, "bucket");
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
