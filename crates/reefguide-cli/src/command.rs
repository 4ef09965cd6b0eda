//! The commands.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use reefguide_worker::job::{JobId, JobStatus, JobType};
use reefguide_worker::source::reefguide::{Client, JobDetails, JobFilter};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use crate::doctor::Doctor;
use crate::error::CliError;
use crate::{session, show};

/// Between two looks at a watched job.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Logs in and keeps the session
    ///
    /// The password is asked for, or taken from REEFGUIDE_PASSWORD.
    Login {
        /// Address of the API, without `/api`.
        #[arg(long, value_name = "URL", env = "API_ENDPOINT")]
        api: String,
        /// The account.
        #[arg(long, env = "REEFGUIDE_EMAIL")]
        email: String,
    },
    /// Forgets the session
    Logout,
    /// Submits a job and prints its id
    Submit {
        /// The job type, such as TEST.
        job_type: String,
        /// The payload: a file, `-` for stdin, or JSON itself.
        #[arg(long, value_name = "FILE|-|JSON", default_value = "{}")]
        input: String,
        /// Waits for the job's end; the exit code is 1 unless it succeeded.
        #[arg(long)]
        watch: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists jobs, at most 50
    Jobs {
        /// Only this status, such as FAILED.
        #[arg(long, value_parser = status)]
        status: Option<JobStatus>,
        /// Only your own.
        #[arg(long)]
        mine: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows a job: payload, assignments, result
    Show {
        /// The job.
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows claims that are not settled, and settles those of dead workers
    ///
    /// Each claim of a worker has a record in its bucket until its outcome is reported. Keys for the
    /// bucket are found as by a worker: MINIO_USERNAME and MINIO_PASSWORD with S3_ENDPOINT, otherwise as
    /// by the AWS command line.
    Doctor(Doctor),
    /// Withdraws a job that no worker has claimed
    Cancel {
        /// The job.
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
    },
}

impl Command {
    pub(crate) async fn run(self) -> Result<ExitCode, CliError> {
        match self {
            Self::Login { api, email } => {
                session::log_in(&api, &email, password(&email)?).await?;
                say(format_args!("logged in at {api} as {email}"));
            }
            Self::Logout => {
                session::log_out()?;
                say(format_args!("logged out"));
            }
            Self::Submit {
                job_type,
                input,
                watch,
                json,
            } => {
                return submit(&job_type, &input, watch, json).await;
            }
            Self::Jobs { status, mine, json } => {
                let client = session::client()?;
                let list = if mine {
                    client.my_jobs(status).await?
                } else {
                    let filter = status.map(|status| JobFilter::default().status(status));
                    client.jobs(&filter.unwrap_or_default()).await?
                };
                print(json, &list, show::table);
            }
            Self::Show { id, json } => {
                let job = session::client()?.job(&JobId::from(id)).await?;
                print(json, &job, show::details);
            }
            Self::Doctor(doctor) => return doctor.run().await,
            Self::Cancel { id } => {
                let job = session::client()?.cancel(&JobId::from(id)).await?;
                say(format_args!("job {} is {}", job.id, job.status));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn submit(
    job_type: &str,
    input: &str,
    watch: bool,
    json: bool,
) -> Result<ExitCode, CliError> {
    let payload = payload(input)?;
    let client = session::client()?;
    let created = client
        .create_job(&JobType::from(job_type), &payload)
        .await?;
    if created.cached && !json {
        // Not on stdout, where a script reads the id. Nobody may be reading.
        let _ = writeln!(std::io::stderr(), "an equal job exists already");
    }
    if !watch {
        print(json, &created, |created| created.job_id.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let job = watched(&client, &created.job_id, json).await?;
    print(json, &job, show::details);
    let succeeded = job.job.status == JobStatus::Succeeded;
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Waits for a job's end; tells each status on stderr as it comes.
async fn watched(client: &Client, id: &JobId, quiet: bool) -> Result<JobDetails, CliError> {
    let mut seen = None;
    loop {
        let wait = match client.job(id).await {
            Ok(job) => {
                let status = job.job.status.clone();
                if !quiet && seen.as_ref() != Some(&status) {
                    // Nobody may be reading.
                    let _ = writeln!(std::io::stderr(), "job {id} is {status}");
                }
                if status.is_final() {
                    return Ok(job);
                }
                seen = Some(status);
                LOOK_AGAIN
            }
            Err(error) if error.is_retryable() => {
                let _ = writeln!(std::io::stderr(), "{}", reefguide_worker::Chain(&error));
                error.retry_after().unwrap_or_default().max(LOOK_AGAIN)
            }
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(wait).await;
    }
}

fn payload(input: &str) -> Result<Value, CliError> {
    let wrong = |source| CliError::Payload {
        from: input.to_owned(),
        source,
    };
    let text = if input == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else if input.trim_start().starts_with(['{', '[']) {
        Ok(input.to_owned())
    } else {
        std::fs::read_to_string(input)
    };
    let text = text.map_err(|error| wrong(error.into()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.into()))
}

fn password(email: &str) -> Result<SecretString, CliError> {
    match std::env::var("REEFGUIDE_PASSWORD") {
        Ok(password) => Ok(password.into()),
        Err(_) => rpassword::prompt_password(format!("password of {email}: "))
            .map(SecretString::from)
            .map_err(CliError::Password),
    }
}

fn status(name: &str) -> Result<JobStatus, String> {
    let status = serde_json::from_value(json!(name.to_uppercase())).map_err(|e| e.to_string())?;
    match status {
        JobStatus::Other(_) => {
            Err("use PENDING, IN_PROGRESS, SUCCEEDED, FAILED, CANCELLED or TIMED_OUT".into())
        }
        status => Ok(status),
    }
}

pub(crate) fn print<T: Serialize>(json: bool, value: &T, text: impl Fn(&T) -> String) {
    match serde_json::to_string_pretty(value) {
        Ok(pretty) if json => say(format_args!("{pretty}")),
        _ => say(format_args!("{}", text(value))),
    }
}

/// Prints a line; a closed pipe is no reason to fail.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
