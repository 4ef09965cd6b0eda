//! The claim records of workers, in the bucket.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use reefguide_client::{ApiError, Client};
use reefguide_jobs::job::{JobId, JobStatus, Outcome};
use reefguide_jobs::ledger::{ClaimRecord, Recovery, Resolution};
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_storage::{S3Credentials, S3Options, Storage, StorageUri};
use reefguide_transport::Chain;
use secrecy::SecretString;
use serde::Serialize;

use super::finding::{ClaimFindings, Finding, Sweep, Why, is_older};
use crate::address;
use crate::error::CliError;
use crate::input::{non_empty, variable};
use crate::output::{self, Output};

#[derive(Debug, Args)]
pub(super) struct BucketOptions {
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
}

/// The claims of a fleet.
pub(super) struct Claims {
    recovery: Recovery,
    dead_after: Option<Duration>,
}

/// The claims that a repair has resolved.
#[derive(Default, Serialize)]
pub(super) struct ResolvedClaims {
    /// Claims whose outcome was reported.
    delivered: Vec<ClaimRecord>,
    /// Claims without anything to report: the job had ended, or the claim was lost.
    obsolete: Vec<ClaimRecord>,
}

impl Claims {
    /// Access to the records, if their location is known.
    pub(super) fn open(
        options: &BucketOptions,
        client: &Client,
        dead_after: Option<Duration>,
        out: Output,
    ) -> Result<Option<Self>, CliError> {
        let records = non_empty(options.records.as_deref());
        let folder: StorageUri = match (records, non_empty(options.bucket.as_deref())) {
            (Some(records), _) => records.parse()?,
            (None, Some(bucket)) => format!("s3://{bucket}/reefguide-worker/records").parse()?,
            (None, None) => {
                out.note(format_args!(
                    "the records of claims are not checked: name their bucket with --bucket or S3_BUCKET_NAME"
                ));
                return Ok(None);
            }
        };
        let storage = Storage::s3(options.s3_options()?);
        let source = ReefGuide::builder(client.clone()).build();
        let mut recovery = Recovery::new(source, storage, folder);
        if let Some(dead_after) = dead_after {
            recovery = recovery.dead_after(dead_after);
        }
        Ok(Some(Self {
            recovery,
            dead_after,
        }))
    }

    /// Checks the records once. A worker counts as silent if its last renewal is long ago, which assumes that its clock
    /// and this machine's agree; a repair watches for renewals instead.
    pub(super) async fn check(
        &self,
        client: &Client,
        out: Output,
    ) -> Result<ClaimFindings, CliError> {
        let mut claims = ClaimFindings::default();
        for (_, record) in self.recovery.records().await? {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    out.note(format_args!("{}", Chain(&error)));
                    claims.unreadable += 1;
                    continue;
                }
            };
            claims.jobs.insert(record.job_id.clone());
            let limit = self.dead_after.unwrap_or_else(|| record.dead_after());
            match is_older(record.written_at, Timestamp::now(), limit) {
                true => claims.silent.push(silent(client, record).await?),
                false => claims.alive += 1,
            }
        }
        Ok(claims)
    }

    /// Sweeps the records once and resolves the claims of workers that turn out to be dead. `failed` becomes the jobs that
    /// could not be resolved, and why.
    pub(super) async fn sweep(
        &mut self,
        resolved: &mut ResolvedClaims,
        failed: &mut Vec<(JobId, String)>,
    ) -> Result<Sweep, CliError> {
        let sweep = self.recovery.sweep().await?;
        failed.clear();
        for (mut record, resolution) in sweep.dead {
            match resolution {
                Ok(Resolution::Delivered(outcome)) => {
                    record.outcome = Some(outcome);
                    resolved.delivered.push(record);
                }
                Ok(_) => resolved.obsolete.push(record),
                Err(error) => failed.push((record.job_id, Chain(&error).to_string())),
            }
        }
        Ok(Sweep {
            alive: sweep.alive,
            undecided: sweep.undecided,
        })
    }
}

impl BucketOptions {
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

impl ResolvedClaims {
    pub(super) fn count(&self) -> usize {
        self.delivered.len() + self.obsolete.len()
    }

    pub(super) fn describe(&self, text: &mut String) {
        for record in &self.delivered {
            let status = record.outcome.as_ref().map(Outcome::status);
            let status = status.map(|status| output::status(&status));
            let status = status.unwrap_or_default();
            let _ = writeln!(text, "job {} is now {status}", record.job_id);
        }
        for record in &self.obsolete {
            let _ = writeln!(text, "job {}: nothing to report", record.job_id);
        }
    }
}

async fn silent(client: &Client, record: ClaimRecord) -> Result<Finding, ApiError> {
    let status = match client.job(&record.job_id).await {
        Ok(details) => Some(details.job.status),
        Err(error) if error.is_gone() => None,
        Err(error) => return Err(error),
    };
    let worker = record.claimant;
    let why = match status.as_ref().is_none_or(JobStatus::is_final) {
        true => Why::RecordLeft { worker },
        false => Why::WorkerSilent {
            worker,
            recorded: record.outcome.as_ref().map(Outcome::status),
        },
    };
    let since = Some(record.written_at);
    Ok(Finding::new(
        record.job_id,
        record.job_type,
        status,
        since,
        why,
    ))
}
