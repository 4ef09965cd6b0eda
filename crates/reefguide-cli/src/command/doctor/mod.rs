//! `doctor`: finds stuck jobs and resolves those that it can.

mod claims;
mod finding;
mod jobs;
mod repair;

use std::time::Duration;

use clap::Args;
use reefguide_client::Client;
use reefguide_jobs::ledger::Recovery;
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_storage::{S3Credentials, S3Options, Storage, StorageUri};
use secrecy::SecretString;

use self::finding::Diagnosis;
use self::repair::Repaired;
use crate::error::CliError;
use crate::input::{non_empty, variable};
use crate::output::Output;
use crate::{address, session};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The bucket in which workers keep the records of their claims.
    #[arg(long, value_name = "NAME", env = "S3_BUCKET_NAME")]
    bucket: Option<String>,
    /// The location of the records [default: `reefguide-worker/records` in the bucket].
    #[arg(long, value_name = "URI", env = "RECORDS_URI", hide_env_values = true)]
    records: Option<String>,
    /// The address of an S3 server other than AWS.
    #[arg(long, value_name = "URL", env = "S3_ENDPOINT", hide_env_values = true)]
    s3_endpoint: Option<String>,
    /// The AWS region of the bucket.
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
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
        let mut recovery = self.recovery(&client, out).await?;
        if self.repair {
            let mut repaired = Repaired::default();
            let done = self.repair(&client, recovery.as_mut(), &mut repaired, out);
            let done = done.await;
            // After an error, print what was repaired before it.
            if done.is_ok() || repaired.has_changed() {
                let printed = out.print(&repaired, Repaired::describe);
                printed.map_err(CliError::unprinted(repaired.describe()))?;
            }
            return done.map(|()| repaired.is_complete());
        }
        let diagnosis = self.diagnose(&client, recovery.as_ref(), out).await?;
        out.print(&diagnosis, Diagnosis::describe)?;
        Ok(diagnosis.findings.is_empty())
    }

    async fn repair(
        &self,
        client: &Client,
        mut recovery: Option<&mut Recovery>,
        repaired: &mut Repaired,
        out: Output,
    ) -> Result<(), CliError> {
        // Claims come first: a dead worker may have recorded a success.
        if let Some(recovery) = &mut recovery {
            repair::resolve_claims(recovery, repaired, out).await?;
        }
        let mut left = self.diagnose(client, recovery.as_deref(), out).await?;
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
        recovery: Option<&Recovery>,
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
        if let Some(recovery) = recovery {
            let dead_after = self.dead_after.map(Duration::from_secs);
            let claims = claims::check(client, recovery, dead_after, out).await?;
            diagnosis.alive = Some(claims.alive);
            diagnosis.unreadable_records = claims.unreadable;
            diagnosis.findings = claims.silent;
            recorded = Some(claims.jobs);
        }
        let now = jobs::api_time(client);
        let stuck = jobs::stuck(client, running, recorded.as_ref(), now).await?;
        diagnosis.findings.extend(stuck);
        let long = jobs::waiting_long(waiting, now, pending_after);
        diagnosis.findings.extend(long);
        Ok(diagnosis)
    }

    /// Access to the records, if it is known where they are.
    async fn recovery(&self, client: &Client, out: Output) -> Result<Option<Recovery>, CliError> {
        let records = non_empty(self.records.as_deref());
        let folder: StorageUri = match (records, non_empty(self.bucket.as_deref())) {
            (Some(records), _) => records.parse()?,
            (None, Some(bucket)) => format!("s3://{bucket}/reefguide-worker/records").parse()?,
            (None, None) => {
                out.note(format_args!(
                    "the records of claims are not checked: name their bucket with --bucket or S3_BUCKET_NAME"
                ));
                return Ok(None);
            }
        };
        let storage = Storage::s3(self.s3_options()?);
        let source = ReefGuide::builder(client.clone()).build();
        let recovery = Recovery::new(source, storage, folder);
        Ok(Some(match self.dead_after {
            Some(seconds) => recovery.dead_after(Duration::from_secs(seconds)),
            None => recovery,
        }))
    }

    fn s3_options(&self) -> Result<S3Options, CliError> {
        let mut options = S3Options::default();
        let endpoint = non_empty(self.s3_endpoint.as_deref());
        options.endpoint = endpoint.map(address::s3).transpose()?;
        options.region = non_empty(self.region.as_deref()).map(str::to_owned);
        // As in a worker, these keys belong to a server other than AWS.
        let keys =
            ["MINIO_USERNAME", "MINIO_PASSWORD"].map(|name| variable(name)?.into_string().ok());
        if let (Some(_), [Some(access_key), Some(secret_key)]) = (&options.endpoint, keys) {
            options.credentials = Some(S3Credentials {
                access_key,
                secret_key: SecretString::from(secret_key),
                session_token: None,
            });
        }
        Ok(options)
    }
}
