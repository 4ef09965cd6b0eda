//! Following jobs until they have ended.

use std::time::Duration;

use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{ApiError, Client, JobDetails};
use tokio::time::sleep;

use crate::output::Output;
use crate::retry::with_retries;

/// How long to wait between requests.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// After each request.
    pub request: Duration,
    /// Before all jobs that have not ended are asked for again.
    pub round: Duration,
}

/// Asks for jobs in turn until all of them have ended. `show` gets each job once at first, and then whenever its status
/// has changed.
///
/// If the API cannot be reached, a request is repeated for some minutes, with a note to `out` before each try.
///
/// # Errors
/// If the API refuses a request or stays out of reach, or `show` fails.
pub async fn watch_jobs<E: From<ApiError>>(
    client: &Client,
    jobs: impl IntoIterator<Item = JobId>,
    pauses: Pauses,
    out: Output,
    mut show: impl FnMut(&JobDetails) -> Result<(), E>,
) -> Result<(), E> {
    let mut watched: Vec<_> = jobs.into_iter().map(|id| (id, None)).collect();
    loop {
        let mut open = Vec::new();
        for (id, seen) in watched {
            let request = async || client.job(&id).await;
            let details = with_retries(request, |note| out.note(note)).await?;
            let status: &JobStatus = &details.job.status;
            if seen.as_ref() != Some(status) {
                show(&details)?;
            }
            if !status.is_final() {
                open.push((id, Some(status.clone())));
            }
            sleep(pauses.request).await;
        }
        if open.is_empty() {
            return Ok(());
        }
        watched = open;
        sleep(pauses.round).await;
    }
}
