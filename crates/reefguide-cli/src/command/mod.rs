//! The commands.

mod batch;
mod cancel;
mod doctor;
mod download;
mod jobs;
mod login;
mod manual;
mod schema;
mod show;
mod submit;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use self::batch::BatchError;
pub(crate) use self::download::DownloadError;
pub(crate) use self::schema::SchemaError;
use crate::error::CliError;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Logs in and keeps the session
    ///
    /// The password is asked for, or taken from REEFGUIDE_PASSWORD. What is kept, in the folder for
    /// configuration and readable by you alone, is a token: no password.
    Login(login::Login),
    /// Forgets the session
    Logout,
    /// Submits a job, or a batch of them, and prints the ids
    ///
    /// When an equal job waits, runs or has succeeded, the API answers with that one.
    ///
    /// A batch is a file with a job a line: its payload if TYPE is given, otherwise an object such as
    /// `{"type": "TEST", "payload": {"id": 1}}`. Empty lines are left out. The batch is looked through before the first
    /// job is submitted. The jobs are submitted in order, one at a time; if that ends early, what is printed
    /// says how to go on.
    Submit(submit::Submit),
    /// Lists jobs, the newest first
    ///
    /// The API lists 50 jobs at most, those that changed last; where there are more, it is asked for 50 of each status.
    /// An administrator sees everybody's jobs, others see their own.
    Jobs(jobs::Jobs),
    /// Shows a job: payload, assignments, result
    Show(show::Show),
    /// Waits until jobs have ended and tells each change; the exit code is 1 unless all succeeded
    Watch(watch::Watch),
    /// Withdraws jobs that no worker has claimed
    ///
    /// They are withdrawn in order; the first one that cannot be ends it. A worker that claims a job at the same
    /// moment gets it all the same: a second later each job is looked at, and the exit code is 1 if one runs on.
    Cancel(cancel::Cancel),
    /// Downloads what a job made
    ///
    /// Files are compared with what the server says of them and appear when they are complete. The API gives 25 files
    /// of a job at most.
    Download(download::Download),
    /// Says which jobs are stuck, and why, and settles what can be settled
    ///
    /// It looks at jobs that wait for long or are under way, and at the records that workers keep of their claims until
    /// the outcome is reported. Without a bucket it looks at the jobs only. The exit code is 1 if something is stuck,
    /// with --repair if something stays so. Keys for the bucket are
    /// found as by a worker: MINIO_USERNAME and MINIO_PASSWORD with S3_ENDPOINT, otherwise as by the AWS
    /// command line.
    Doctor(doctor::Doctor),
    /// Compares the JSON Schemas of a worker
    #[command(subcommand)]
    Schema(schema::Schema),
    /// Prints a script that completes this command's arguments in a shell
    Completions(manual::Completions),
    /// Writes man pages, one for each command
    Man(manual::Man),
}

impl Command {
    pub(crate) async fn run(self, out: Output) -> Result<ExitCode, CliError> {
        let healthy = match self {
            Self::Login(login) => login.run(out).await?,
            Self::Logout => login::log_out(out)?,
            Self::Submit(submit) => submit.run(out).await?,
            Self::Jobs(jobs) => jobs.run(out).await?,
            Self::Show(show) => show.run(out).await?,
            Self::Watch(watch) => watch.run(out).await?,
            Self::Cancel(cancel) => cancel.run(out).await?,
            Self::Download(download) => download.run(out).await?,
            Self::Doctor(doctor) => doctor.run(out).await?,
            Self::Schema(schema) => schema.run(out).await?,
            Self::Completions(completions) => completions.run()?,
            Self::Man(man) => man.run(out)?,
        };
        Ok(match healthy {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
