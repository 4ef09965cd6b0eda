//! `doctor`: jobs that are stuck, and settling those that can be settled.

mod claims;
mod finding;
mod jobs;
mod repair;

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use reefguide_worker::runtime::Recovery;
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use reefguide_worker::storage::{S3Credentials, S3Options, Storage, StorageUri};
use secrecy::SecretString;

use self::finding::Diagnosis;
use crate::error::CliError;
use crate::{output, session};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The bucket in which the workers keep the records of their claims.
    #[arg(long, value_name = "NAME", env = "S3_BUCKET_NAME")]
    bucket: Option<String>,
    /// Where the records are, if not in `reefguide-worker/records` of the bucket.
    #[arg(long, value_name = "URI", env = "RECORDS_URI")]
    records: Option<StorageUri>,
    /// Address of an S3 server other than AWS.
    #[arg(long, value_name = "URL", env = "S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// AWS region of the bucket.
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// Settles what is stuck: of the claim of a dead worker what is recorded as done is reported, everything else as
    /// failed, and so are jobs whose lease has ended. A job that waits goes on waiting.
    #[arg(long)]
    repair: bool,
    /// Takes a worker for dead when it has not renewed a record for so long [default: five of its own
    /// intervals]. Use 0 only if you know that all workers have stopped.
    #[arg(long, value_name = "SECONDS")]
    dead_after: Option<u64>,
    /// After how many minutes a job that waits is stuck.
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    pending_after: u64,
}

impl Doctor {
    pub(super) async fn run(self, json: bool) -> Result<bool, CliError> {
        let client = session::client()?;
        let mut recovery = self.recovery(&client).await?;
        if self.repair {
            let repaired = repair::repair(&client, recovery.as_mut()).await?;
            output::print(json, &repaired, repair::Repaired::said);
            return Ok(repaired.is_complete());
        }
        let diagnosis = self.look(&client, recovery.as_ref()).await?;
        output::print(json, &diagnosis, Diagnosis::said);
        Ok(diagnosis.findings.is_empty())
    }

    async fn look(
        &self,
        client: &Client,
        recovery: Option<&Recovery>,
    ) -> Result<Diagnosis, CliError> {
        // The jobs before the records: a worker records a claim before it makes it.
        let (running, unlisted_running) = jobs::running(client).await?;
        let (waiting, unlisted_waiting) = jobs::waiting(client).await?;
        let pending_after = Duration::from_secs(self.pending_after.saturating_mul(60));
        let mut diagnosis = Diagnosis {
            unlisted: unlisted_running + unlisted_waiting,
            ..Diagnosis::default()
        };
        let mut recorded = None;
        if let Some(recovery) = recovery {
            let dead_after = self.dead_after.map(Duration::from_secs);
            let claims = claims::look(client, recovery, dead_after).await?;
            diagnosis.alive = Some(claims.alive);
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
    async fn recovery(&self, client: &Client) -> Result<Option<Recovery>, CliError> {
        let folder = match (&self.records, &self.bucket) {
            (Some(records), _) => records.clone(),
            (None, Some(bucket)) => format!("s3://{bucket}/reefguide-worker/records").parse()?,
            (None, None) => {
                output::note(format_args!(
                    "the records of workers are not looked at: name their --bucket, or set S3_BUCKET_NAME"
                ));
                return Ok(None);
            }
        };
        let storage = Storage::s3(self.options()).await;
        let source = ReefGuide::builder(client.clone()).build();
        let recovery = Recovery::new(source, storage, folder);
        Ok(Some(match self.dead_after {
            Some(seconds) => recovery.dead_after(Duration::from_secs(seconds)),
            None => recovery,
        }))
    }

    fn options(&self) -> S3Options {
        let mut options = S3Options::default();
        options.endpoint = self.s3_endpoint.clone();
        options.region = self.region.clone();
        // As a worker: these are keys of another server than AWS.
        let keys = ["MINIO_USERNAME", "MINIO_PASSWORD"].map(|name| std::env::var(name).ok());
        if let (Some(_), [Some(access_key), Some(secret_key)]) = (&options.endpoint, keys) {
            options.credentials = Some(S3Credentials {
                access_key,
                secret_key: SecretString::from(secret_key),
                session_token: None,
            });
        }
        options
    }
}

/// The API's time, by which leases end.
fn now(client: &Client) -> Timestamp {
    let now = Timestamp::now();
    let ahead = client.clock_ahead().unwrap_or_default();
    now.checked_sub(ahead).unwrap_or(now)
}
