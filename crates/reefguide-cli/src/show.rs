//! What a person reads: tables and job descriptions.

use std::fmt::Write;

use comfy_table::{Table, presets};
use reefguide_worker::source::reefguide::{JobDetails, JobList};

/// A line per job.
pub(crate) fn table(list: &JobList) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["JOB", "TYPE", "STATUS", "SUBMITTED"]);
    for JobDetails { job, .. } in &list.jobs {
        let submitted = job.created_at.map(|at| at.to_string()).unwrap_or_default();
        table.add_row([
            job.id.to_string(),
            job.job_type.to_string(),
            job.status.to_string(),
            submitted,
        ]);
    }
    let mut text = table.trim_fmt();
    let more = list.total.saturating_sub(list.jobs.len() as u64);
    if more > 0 {
        let _ = write!(text, "\n({more} more)");
    }
    text
}

/// Everything about one job.
pub(crate) fn details(details: &JobDetails) -> String {
    let JobDetails {
        job, assignments, ..
    } = details;
    let mut text = format!("job {}  {}  {}\n", job.id, job.job_type, job.status);
    if let Some(at) = job.created_at {
        let _ = writeln!(text, "submitted  {at}");
    }
    let _ = writeln!(text, "payload    {}", job.input_payload);
    for assignment in assignments {
        let _ = writeln!(
            text,
            "\nassignment {} of {}",
            assignment.id, assignment.ecs_task_arn
        );
        if let Some(at) = assignment.created_at {
            let _ = writeln!(text, "claimed    {at}");
        }
        if let Some(at) = assignment.completed_at {
            let _ = writeln!(text, "ended      {at}");
        }
        let _ = writeln!(text, "outputs    {}", assignment.storage_uri);
        if let Some(result) = &assignment.result {
            let _ = writeln!(text, "result     {}", result.result_payload);
        }
    }
    text.truncate(text.trim_end().len());
    text
}
