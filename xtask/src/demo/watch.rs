//! The jobs on their way, as they move.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reefguide_worker::job::JobStatus;
use reefguide_worker::source::reefguide::Client;
use tokio::time::MissedTickBehavior;

use super::jobs::Job;
use crate::failure::{Doing, Failure};

/// Between two looks at the jobs. Short enough to see a claim's settle delay.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Shows every change of a job's status until all have ended.
pub(super) async fn until_all_ended(
    client: &Client,
    jobs: &mut [Job],
    view: &mut View,
) -> Result<(), Failure> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while jobs.iter().any(|job| !job.status.is_final()) {
        looks.tick().await;
        let now = client.my_jobs(None).await.doing("looking at the jobs")?;
        for (index, job) in jobs.iter_mut().enumerate() {
            let details = now.jobs.iter().find(|details| details.job.id == job.id);
            let Some(details) = details else {
                return Err(Failure::new(format!("job {} is not listed", job.id)));
            };
            if details.job.status != job.status {
                job.update(details);
                view.show(index, job);
            }
        }
    }
    Ok(())
}

/// A line a job that changes in place on a terminal; elsewhere a line a change.
#[derive(Debug)]
pub(super) enum View {
    Terminal(MultiProgress, Vec<ProgressBar>),
    Lines(Instant),
}

impl View {
    pub(super) fn new(jobs: &[Job]) -> Self {
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

    fn show(&mut self, index: usize, job: &Job) {
        match self {
            Self::Lines(started) => {
                let seconds = started.elapsed().as_secs_f64();
                super::say(format_args!(
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
                    bar.enable_steady_tick(LOOK_EVERY);
                    return;
                }
                let (sign, colour) = match (job.ended_well(), &job.status) {
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
    /// Leaves the lines as they are.
    fn drop(&mut self) {
        if let Self::Terminal(all, _) = self {
            all.set_draw_target(ProgressDrawTarget::hidden());
            super::say("");
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

/// The status, and how long it took to get to the final one.
fn status(job: &Job) -> String {
    match job.seconds() {
        Some(seconds) => format!("{:<11} {seconds:5.1} s", job.status),
        None => job.status.to_string(),
    }
}
