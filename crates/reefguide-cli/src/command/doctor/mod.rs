//! `doctor`: jobs that are stuck, and settling those that can be settled.

mod claims;
mod finding;
mod jobs;
mod repair;

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use reefguide_client::Client;
use reefguide_jobs::ledger::Recovery;
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_storage::{S3Credentials, S3Options, Storage, StorageUri};
use secrecy::SecretString;

use self::finding::Diagnosis;
use self::repair::Repaired;
use crate::error::CliError;
use crate::input::{filled, variable};
use crate::output::Output;
use crate::{address, session};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The bucket in which the workers keep the records of their claims.
    #[arg(long, value_name = "NAME", env = "S3_BUCKET_NAME")]
    bucket: Option<String>,
    /// Where the records are, if not in `reefguide-worker/records` of the bucket.
    #[arg(long, value_name = "URI", env = "RECORDS_URI", hide_env_values = true)]
    records: Option<String>,
    /// Address of an S3 server other than AWS.
    #[arg(long, value_name = "URL", env = "S3_ENDPOINT", hide_env_values = true)]
    s3_endpoint: Option<String>,
    /// AWS region of the bucket.
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// Settles what dead workers have left, by the records of their claims: what is recorded as done is reported,
    /// everything else as failed. Then it lists what is stuck still.
    #[arg(long)]
    repair: bool,
    /// With --repair: reports jobs as failed, too, whose claim has no record and whose lease has ended. That a lease
    /// ends does not end a job: its worker may be of another program, which keeps no records, and run on. A success
    /// that it has for the job is lost then. Use it only if you have seen that these workers are gone.
    #[arg(long, requires = "repair")]
    without_record: bool,
    /// Takes a worker for dead when it has not renewed a record for so long [default: five of its own
    /// intervals]. Use 0 only if you know that all workers have stopped.
    #[arg(long, value_name = "SECONDS")]
    dead_after: Option<u64>,
    /// After how many minutes a job that waits is stuck.
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
            // Of what was done before something went wrong it has to tell, too.
            if done.is_ok() || repaired.has_changed() {
                let printed = out.print(&repaired, Repaired::said);
                printed.map_err(CliError::untold(repaired.said()))?;
            }
            return done.map(|()| repaired.is_complete());
        }
        let diagnosis = self.look(&client, recovery.as_ref(), out).await?;
        out.print(&diagnosis, Diagnosis::said)?;
        Ok(diagnosis.findings.is_empty())
    }

    async fn repair(
        &self,
        client: &Client,
        mut recovery: Option<&mut Recovery>,
        repaired: &mut Repaired,
        out: Output,
    ) -> Result<(), CliError> {
        // First, as dead workers may have a success to report.
        if let Some(recovery) = &mut recovery {
            repair::settle(recovery, repaired, out).await?;
        }
        let mut left = self.look(client, recovery.as_deref(), out).await?;
        // Of these more is known than one look brings: they are settled, failed or live.
        left.findings.retain(|finding| !finding.why.is_recorded());
        left.alive = None;
        repaired.left = left;
        match (self.without_record, repaired.left.unreadable_records) {
            (true, 0) => repair::end(client, repaired).await,
            (true, _) => out.note(format_args!(
                "no job is ended for want of a record, since it may have one of those that cannot be read"
            )),
            (false, _) => {}
        }
        Ok(())
    }

    async fn look(
        &self,
        client: &Client,
        recovery: Option<&Recovery>,
        out: Output,
    ) -> Result<Diagnosis, CliError> {
        // The jobs before the records: a worker records a claim before it makes it.
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
            let claims = claims::look(client, recovery, dead_after, out).await?;
            diagnosis.alive = Some(claims.alive);
            diagnosis.unreadable_records = claims.unreadable;
            diagnosis.findings = claims.silent;
            recorded = Some(claims.jobs);
        }
        let now = now(client);
        let stuck = jobs::stuck(client, running, recorded.as_ref(), now).await?;
        diagnosis.findings.extend(stuck);
        let long = jobs::waiting_long(waiting, now, pending_after);
        diagnosis.findings.extend(long);
        Ok(diagnosis)
    }

    /// What looks at the records, if it is known where they are.
    async fn recovery(&self, client: &Client, out: Output) -> Result<Option<Recovery>, CliError> {
        let records = filled(self.records.as_deref());
        let folder: StorageUri = match (records, filled(self.bucket.as_deref())) {
            (Some(records), _) => records.parse()?,
            (None, Some(bucket)) => format!("s3://{bucket}/reefguide-worker/records").parse()?,
            (None, None) => {
                out.note(format_args!(
                    "the records of workers are not looked at: name their --bucket, or set S3_BUCKET_NAME"
                ));
                return Ok(None);
            }
        };
        let storage = Storage::s3(self.options()?).await;
        let source = ReefGuide::builder(client.clone()).build();
        let recovery = Recovery::new(source, storage, folder);
        Ok(Some(match self.dead_after {
            Some(seconds) => recovery.dead_after(Duration::from_secs(seconds)),
            None => recovery,
        }))
    }

    fn options(&self) -> Result<S3Options, CliError> {
        let mut options = S3Options::default();
        let endpoint = filled(self.s3_endpoint.as_deref());
        options.endpoint = endpoint.map(address::s3).transpose()?;
        options.region = filled(self.region.as_deref()).map(str::to_owned);
        // As a worker: these are keys of another server than AWS.
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

/// The API's time, by which leases end.
fn now(client: &Client) -> Timestamp {
    let now = Timestamp::now();
    let ahead = client.clock_ahead().unwrap_or_default();
    now.checked_sub(ahead).unwrap_or(now)
}
