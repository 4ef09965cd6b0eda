//! Following jobs until they have ended.

use std::collections::VecDeque;
use std::time::Duration;

use reefguide_worker::job::{JobId, JobStatus};
use reefguide_worker::source::reefguide::{ApiError, Client, JobDetails};
use tokio::time::sleep;

use crate::output::Output;
use crate::retry::with_retries;

/// Jobs that are asked for in turn until all of them have ended.
#[derive(Debug)]
pub struct JobWatch<'a> {
    client: &'a Client,
    out: Output,
    /// Jobs that have not ended, with the status seen last.
    jobs: VecDeque<(JobId, Option<JobStatus>)>,
    /// How many of them are still to be asked for in this round.
    left_in_round: usize,
    /// The pause before the next request.
    pause: Duration,
    request_pause: Duration,
    round_pause: Duration,
}

impl<'a> JobWatch<'a> {
    /// Watches these jobs: asks for one after the other, 100 ms apart, and starts again two seconds after the last.
    ///
    /// If the API cannot be reached, the request is repeated for some minutes, with a note to `out` before each try.
    #[must_use]
    pub fn new(client: &'a Client, jobs: impl IntoIterator<Item = JobId>, out: Output) -> Self {
        let jobs: VecDeque<_> = jobs.into_iter().map(|id| (id, None)).collect();
        Self {
            client,
            out,
            left_in_round: jobs.len(),
            jobs,
            pause: Duration::ZERO,
            request_pause: Duration::from_millis(100),
            round_pause: Duration::from_secs(2),
        }
    }

    /// Sets the pauses between two requests and between two rounds.
    #[must_use]
    pub fn with_pauses(mut self, request: Duration, round: Duration) -> Self {
        (self.request_pause, self.round_pause) = (request, round);
        self
    }

    /// Waits until a job has another status than before, and returns it; `None` once all jobs have ended. The first
    /// status of each job counts as a change.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// If the API refuses a request or stays out of reach.
    pub async fn next_change(&mut self) -> Result<Option<JobDetails>, ApiError> {
        while let Some((id, seen)) = self.jobs.front() {
            sleep(self.pause).await;
            let request = async || self.client.job(id).await;
            let details = with_retries(request, |note| self.out.note(note)).await?;
            let status = &details.job.status;
            let has_changed = seen.as_ref() != Some(status);
            self.jobs.rotate_left(1);
            match (status.is_final(), self.jobs.back_mut()) {
                (false, Some((_, seen))) => *seen = Some(status.clone()),
                _ => drop(self.jobs.pop_back()),
            }
            self.left_in_round -= 1;
            self.pause = self.request_pause;
            if self.left_in_round == 0 {
                (self.left_in_round, self.pause) = (self.jobs.len(), self.round_pause);
            }
            if has_changed {
                return Ok(Some(details));
            }
        }
        Ok(None)
    }
}
