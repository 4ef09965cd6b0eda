//! The jobs while they wait and run.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reefguide_cli::{Output, Pauses, watch_jobs};
use reefguide_worker::job::JobStatus;
use reefguide_worker::source::reefguide::{ApiError, Client, JobDetails};

use super::jobs::Job;
use super::print::say;
use crate::failure::{Doing, Failure};

/// Short enough to see a job between its claim and its end.
const PAUSES: Pauses = Pauses {
    request: Duration::from_millis(10),
    round: Duration::ZERO,
};
/// How often a spinner turns.
const SPIN: Duration = Duration::from_millis(100);

/// Shows each change of the jobs' statuses until all have ended.
pub(super) async fn show_until_ended(client: &Client, jobs: &mut [Job]) -> Result<(), Failure> {
    let view = View::new(jobs);
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    let show = |details: &JobDetails| {
        let mut jobs = jobs.iter_mut().enumerate();
        if let Some((index, job)) = jobs.find(|(_, job)| job.id == details.job.id)
            && job.update(details)
        {
            view.show(index, job);
        }
        Ok::<_, ApiError>(())
    };
    watch_jobs(client, ids, PAUSES, Output::default(), show)
        .await
        .doing("watching the jobs")
}

/// On a terminal a line for each job that changes in place, elsewhere a line for each change.
enum View {
    Terminal(MultiProgress, Vec<ProgressBar>),
    Lines(Instant),
}

impl View {
    fn new(jobs: &[Job]) -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::Lines(Instant::now());
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let bars = jobs.iter().map(|job| {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style("  ", "dim"));
            bar.set_prefix(name(job));
            bar.set_message(status(job));
            bar.tick();
            bar
        });
        let bars = bars.collect();
        Self::Terminal(all, bars)
    }

    fn show(&self, index: usize, job: &Job) {
        match self {
            Self::Lines(started) => {
                let seconds = started.elapsed().as_secs_f64();
                say(format_args!(
                    "{seconds:5.1} s  {}  {}",
                    name(job),
                    status(job)
                ));
            }
            Self::Terminal(_, bars) => {
                let bar = &bars[index];
                bar.set_message(status(job));
                if !job.status.is_final() {
                    bar.set_style(style("{spinner} ", "cyan"));
                    bar.enable_steady_tick(SPIN);
                    return;
                }
                let (sign, colour) = match (job.has_expected_status(), &job.status) {
                    (false, _) => ("✗ ", "red"),
                    (true, JobStatus::Succeeded) => ("✓ ", "green"),
                    (true, _) => ("✓ ", "yellow"),
                };
                bar.set_style(style(sign, colour));
                bar.finish();
            }
        }
    }
}

impl Drop for View {
    /// Leaves the lines on the terminal.
    fn drop(&mut self) {
        if let Self::Terminal(all, _) = self {
            all.set_draw_target(ProgressDrawTarget::hidden());
            say("");
        }
    }
}

fn style(sign: &str, colour: &str) -> ProgressStyle {
    let template = format!("{sign}{{prefix}}  {{msg:.{colour}}}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn name(job: &Job) -> String {
    format!(
        "job {:>2}  {:<13}  {:<21}",
        job.id.to_string(),
        job.job_type,
        job.about
    )
}

/// The status, and how long the job ran once it has ended.
fn status(job: &Job) -> String {
    match job.seconds() {
        Some(seconds) => format!("{:<11} {seconds:5.1} s", job.status),
        None => job.status.to_string(),
    }
}
