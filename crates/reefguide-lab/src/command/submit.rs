//! `reefguide-lab submit`.

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::stdout::{StdoutError, answer};
use super::text::decoded;

/// How often a watched job is read.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// Submit a job to a running lab, without an account
#[derive(Debug, Args)]
pub(super) struct Submit {
    /// The job type
    job_type: String,
    /// The payload: JSON, a JSON file, or `-` for stdin
    #[arg(long, value_name = "JSON|FILE|-")]
    input: String,
    /// Wait until the job ends and print it; the exit code is 0 if it succeeded
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    lab: Client,
}

#[derive(Debug, thiserror::Error)]
enum SubmitError {
    #[error("payload in {from}")]
    Read {
        from: String,
        source: std::io::Error,
    },
    #[error("payload in {from}: not JSON")]
    NotJson {
        from: String,
        source: serde_json::Error,
    },
    #[error("{text}")]
    Unprinted { text: String, source: StdoutError },
}

#[derive(Deserialize)]
struct SubmittedJob {
    #[serde(rename = "jobId")]
    id: i64,
    cached: bool,
}

impl Submit {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let job = json!({ "type": self.job_type, "payload": payload(&self.input)? });
        let created = self
            .lab
            .request(Method::POST, "/lab/jobs", job.to_string())
            .await?;
        let SubmittedJob { id, cached } = serde_json::from_str(&created)?;
        let text = match cached {
            true => {
                format!(
                    "job {id} has the same type and payload: the API does not create a second one"
                )
            }
            false => format!("job {id} is submitted"),
        };
        answer(&text).map_err(|source| SubmitError::Unprinted { text, source })?;
        if !self.watch {
            return Ok(ExitCode::SUCCESS);
        }
        let path = format!("/lab/jobs/{id}");
        loop {
            let job = self.lab.request(Method::GET, &path, String::new()).await?;
            let job: Value = serde_json::from_str(&job)?;
            match job["status"].as_str() {
                Some("PENDING" | "IN_PROGRESS") => tokio::time::sleep(WATCH_INTERVAL).await,
                status => {
                    answer(format_args!("{job:#}"))?;
                    let succeeded = status == Some("SUCCEEDED");
                    return Ok(ExitCode::from(u8::from(!succeeded)));
                }
            }
        }
    }
}

fn payload(input: &str) -> Result<Value, SubmitError> {
    let read = |source| SubmitError::Read {
        from: input.to_owned(),
        source,
    };
    let text = match input {
        "-" => {
            let mut bytes = Vec::new();
            let read_bytes = std::io::stdin().read_to_end(&mut bytes);
            read_bytes.and_then(|_| decoded(bytes)).map_err(read)?
        }
        json if json.trim_start().starts_with(['{', '[']) => json.to_owned(),
        file => std::fs::read(file).and_then(decoded).map_err(read)?,
    };
    serde_json::from_str(&text).map_err(|source| SubmitError::NotJson {
        from: input.to_owned(),
        source,
    })
}
