//! `doctor`: claims that their workers have not settled, and settling those of dead workers.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use reefguide_worker::Chain;
use reefguide_worker::job::{JobStatus, Outcome};
use reefguide_worker::runtime::{Record, Recovery, RecoveryError, Settled};
use reefguide_worker::source::reefguide::{ApiError, Client, ReefGuide};
use reefguide_worker::storage::{S3Credentials, S3Options, Storage, StorageUri};
use secrecy::SecretString;
use serde::Serialize;

use crate::command::print;
use crate::error::CliError;
use crate::session;

/// Between two looks at the records.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The bucket in which the workers keep the records of their claims.
    #[arg(
        long,
        value_name = "NAME",
        env = "S3_BUCKET_NAME",
        required_unless_present = "records"
    )]
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
    /// Settles the claims of dead workers: what is recorded as done is reported, everything else as
    /// failed.
    #[arg(long)]
    repair: bool,
    /// Takes a worker for dead when it has not renewed a record for so long [default: five of its own
    /// intervals]. Use 0 only if you know that all workers have stopped.
    #[arg(long, value_name = "SECONDS", requires = "repair")]
    dead_after: Option<u64>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// A claim that is not settled.
#[derive(Serialize)]
struct Unsettled {
    record: StorageUri,
    /// Where the job stands by the API.
    status: Option<JobStatus>,
    #[serde(flatten)]
    claim: Record,
}

/// What a repair did.
#[derive(Default, Serialize)]
struct Repaired {
    delivered: Vec<Record>,
    obsolete: Vec<Record>,
    failed: Vec<(Record, String)>,
    alive: usize,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<ExitCode, CliError> {
        let client = session::client()?;
        let folder = self.folder()?;
        let storage = Storage::s3(self.options()).await;
        let source = ReefGuide::builder(client.clone()).build();
        let mut recovery = Recovery::new(source, storage, folder);
        if let Some(seconds) = self.dead_after {
            recovery = recovery.dead_after(Duration::from_secs(seconds));
        }
        let healthy = if self.repair {
            let repaired = repair(&mut recovery).await?;
            print(self.json, &repaired, Repaired::said);
            repaired.failed.is_empty()
        } else {
            let unsettled = unsettled(&client, &recovery).await?;
            print(self.json, &unsettled, |unsettled| table(unsettled));
            unsettled.is_empty()
        };
        Ok(match healthy {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn folder(&self) -> Result<StorageUri, CliError> {
        match (&self.records, &self.bucket) {
            (Some(records), _) => Ok(records.clone()),
            (None, bucket) => {
                let bucket = bucket.as_deref().unwrap_or_default();
                Ok(format!("s3://{bucket}/reefguide-worker/records").parse()?)
            }
        }
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

async fn unsettled(client: &Client, recovery: &Recovery) -> Result<Vec<Unsettled>, CliError> {
    let mut unsettled = Vec::new();
    for (record, claim) in recovery.records().await? {
        let claim = match claim {
            Ok(claim) => claim,
            Err(error) => {
                // Nobody may be reading.
                let _ = writeln!(std::io::stderr(), "{}", Chain(&error));
                continue;
            }
        };
        let status = match client.job(&claim.job_id).await {
            Ok(details) => Some(details.job.status),
            Err(ApiError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        unsettled.push(Unsettled {
            record,
            status,
            claim,
        });
    }
    Ok(unsettled)
}

fn table(unsettled: &[Unsettled]) -> String {
    if unsettled.is_empty() {
        return "every claim is settled".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["JOB", "TYPE", "STATUS", "RECORDED", "RENEWED", "WORKER"]);
    for Unsettled { status, claim, .. } in unsettled {
        let status = status.as_ref().map_or("gone".into(), ToString::to_string);
        let recorded = claim.outcome.as_ref().map(Outcome::status);
        table.add_row([
            claim.job_id.to_string(),
            claim.job_type.to_string(),
            status,
            recorded.map_or("claimed".into(), |status| status.to_string()),
            format!("{:.0}", claim.written_at),
            claim.claimant.clone(),
        ]);
    }
    let mut text = table.trim_fmt();
    let _ = write!(
        text,
        "\nThese claims are not settled. A worker that lives renews its records and settles them itself;\n\
         `reefguide doctor --repair` settles those of dead workers."
    );
    text
}

/// Looks until every record is settled or its worker has shown that it lives.
async fn repair(recovery: &mut Recovery) -> Result<Repaired, CliError> {
    let mut repaired = Repaired::default();
    let mut told = 0;
    loop {
        let look = recovery.look().await?;
        repaired.failed.clear();
        for (mut record, settled) in look.dead {
            match settled {
                Ok(Settled::Delivered(outcome)) => {
                    record.outcome = Some(outcome);
                    repaired.delivered.push(record);
                }
                Ok(_) => repaired.obsolete.push(record),
                Err(error) => repaired.failed.push((record, said(&error))),
            }
        }
        repaired.alive = look.alive;
        if look.undecided == 0 {
            return Ok(repaired);
        }
        if told != look.undecided {
            told = look.undecided;
            // Nobody may be reading.
            let _ = writeln!(
                std::io::stderr(),
                "watching for signs of life, {told} undecided (Ctrl-C leaves them as they are)"
            );
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn said(error: &RecoveryError) -> String {
    Chain(error).to_string()
}

impl Repaired {
    fn said(&self) -> String {
        let mut text = String::new();
        for record in &self.delivered {
            let status = record.outcome.as_ref().map(Outcome::status);
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            let _ = writeln!(text, "job {} is now {status}", record.job_id);
        }
        for record in &self.obsolete {
            let _ = writeln!(text, "job {}: nothing to settle", record.job_id);
        }
        for (record, error) in &self.failed {
            let _ = writeln!(text, "job {}: not settled: {error}", record.job_id);
        }
        let settled = self.delivered.len() + self.obsolete.len();
        let _ = write!(
            text,
            "{settled} settled, {} not settled, {} held by workers that live",
            self.failed.len(),
            self.alive
        );
        text
    }
}
