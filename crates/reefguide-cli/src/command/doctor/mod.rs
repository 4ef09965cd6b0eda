//! `doctor`: finds stuck jobs and resolves those that it can.

#[cfg(feature = "bucket")]
mod claims;
mod finding;
mod jobs;
#[cfg(not(feature = "bucket"))]
mod no_bucket;
mod repair;

use std::time::Duration;

use clap::Args;
use reefguide_client::Client;

#[cfg(feature = "bucket")]
use self::claims::{BucketOptions, Claims};
use self::finding::Diagnosis;
#[cfg(not(feature = "bucket"))]
use self::no_bucket::{BucketOptions, Claims};
use self::repair::Repaired;
use crate::error::CliError;
use crate::output::Output;
use crate::session;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    bucket: BucketOptions,
    /// Resolves the claims of dead workers: a recorded outcome is reported, and a job without one is reported as failed.
    /// Then lists what is still stuck.
    #[arg(long)]
    repair: bool,
    /// With --repair, also reports jobs as failed that have no record and whose lease has ended. The end of a lease does
    /// not end a job: a worker that keeps no records may still run it, and its success would be lost. Use this only if
    /// you have checked that the workers of these jobs are gone.
    #[arg(long, requires = "repair")]
    without_record: bool,
    /// Considers a worker dead if it has not renewed a record for this long [default: five times its own interval]. Use 0
    /// only if you know that all workers have stopped.
    #[arg(long, value_name = "SECONDS")]
    dead_after: Option<u64>,
    /// Considers a job stuck if it has waited for this many minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    pending_after: u64,
}

impl Doctor {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let dead_after = self.dead_after.map(Duration::from_secs);
        let mut claims = Claims::open(&self.bucket, &client, dead_after, out)?;
        if self.repair {
            let mut repaired = Repaired::default();
            let done = self.repair(&client, claims.as_mut(), &mut repaired, out);
            let done = done.await;
            // After an error, print what was repaired before it.
            if done.is_ok() || repaired.has_changed() {
                let printed = out.print(&repaired, Repaired::describe);
                printed.map_err(CliError::unprinted(repaired.describe()))?;
            }
            return done.map(|()| repaired.is_complete());
        }
        let diagnosis = self.diagnose(&client, claims.as_ref(), out).await?;
        out.print(&diagnosis, Diagnosis::describe)?;
        Ok(diagnosis.findings.is_empty())
    }

    async fn repair(
        &self,
        client: &Client,
        mut claims: Option<&mut Claims>,
        repaired: &mut Repaired,
        out: Output,
    ) -> Result<(), CliError> {
        // Claims come first: a dead worker may have recorded a success.
        if let Some(claims) = &mut claims {
            repair::resolve_claims(claims, repaired, out).await?;
        }
        let mut left = self.diagnose(client, claims.as_deref(), out).await?;
        // The sweeps have counted the recorded claims already, and more reliably than a single check.
        left.findings.retain(|finding| !finding.why.is_recorded());
        left.alive = None;
        repaired.left = left;
        match (self.without_record, repaired.left.unreadable_records) {
            (true, 0) => repair::fail_ended_leases(client, repaired).await,
            (true, _) => out.note(format_args!(
                "no job without a record is reported as failed: its record may be one of those that cannot be read"
            )),
            (false, _) => {}
        }
        Ok(())
    }

    async fn diagnose(
        &self,
        client: &Client,
        claims: Option<&Claims>,
        out: Output,
    ) -> Result<Diagnosis, CliError> {
        // Jobs come before records: a worker writes the record before it claims the job.
        let (running, unlisted_running) = jobs::running(client, out).await?;
        let (waiting, unlisted_waiting) = jobs::waiting(client, out).await?;
        let pending_after = Duration::from_secs(self.pending_after.saturating_mul(60));
        let mut diagnosis = Diagnosis {
            unlisted: unlisted_running + unlisted_waiting,
            ..Diagnosis::default()
        };
        let mut recorded = None;
        if let Some(claims) = claims {
            let found = claims.check(client, out).await?;
            diagnosis.alive = Some(found.alive);
            diagnosis.unreadable_records = found.unreadable;
            diagnosis.findings = found.silent;
            recorded = Some(found.jobs);
        }
        let now = jobs::api_time(client);
        let stuck = jobs::stuck(client, running, recorded.as_ref(), now).await?;
        diagnosis.findings.extend(stuck);
        let long = jobs::waiting_long(waiting, now, pending_after);
        diagnosis.findings.extend(long);
        Ok(diagnosis)
    }
}
