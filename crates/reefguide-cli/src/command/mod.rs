//! The commands.

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

use crate::error::CliError;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Logs in and saves the session
    ///
    /// The password is read from REEFGUIDE_PASSWORD; if that is not set, the command asks for it. The session is a
    /// file in your configuration folder that only you can read. It holds a token, not the password.
    Login(login::Login),
    /// Removes the saved session
    Logout,
    /// Submits a job or a batch of jobs and prints their ids
    ///
    /// If an equal job is waiting, running or has succeeded, the API returns that job instead of creating another.
    ///
    /// A batch is a file with one job per line: its payload if TYPE is given, otherwise an object such as
    /// `{"type": "TEST", "payload": {"id": 1}}`. Empty lines are skipped. All lines are checked before the first job is
    /// submitted. Jobs are submitted in order, one at a time; if the command ends early, it prints how to continue.
    Submit(submit::Submit),
    /// Lists jobs, newest first
    ///
    /// The API lists at most 50 jobs, those that changed last. If there are more, the command asks for 50 of each
    /// status. Administrators see all jobs, other users see their own.
    Jobs(jobs::Jobs),
    /// Shows a job: payload, assignments, result
    Show(show::Show),
    /// Waits until jobs have ended and prints each change; the exit code is 1 unless all succeeded
    Watch(watch::Watch),
    /// Cancels jobs that no worker has claimed
    ///
    /// Jobs are cancelled in order, up to the first one that cannot be cancelled. A worker that claims a job at the same
    /// moment may still run it: the command checks each job a second later, and the exit code is 1 if one was claimed.
    Cancel(cancel::Cancel),
    /// Downloads the output files of a job
    ///
    /// Each file is verified against its checksum, MD5 or length on the server, and appears once it is complete. The API
    /// returns at most 25 files of a job at once.
    Download(download::Download),
    /// Finds stuck jobs, explains why they are stuck, and resolves those it can
    ///
    /// The command checks jobs that are running or have waited for long, and the records that workers keep of their
    /// claims until they have reported the outcome. Without a bucket it checks only the jobs. The exit code is 1 if
    /// something is stuck, or with --repair if something is still stuck afterwards.
    ///
    /// Credentials for the bucket are found as a worker finds them: MINIO_USERNAME and MINIO_PASSWORD together with
    /// S3_ENDPOINT, otherwise those of the AWS command line.
    Doctor(doctor::Doctor),
    /// Compares the JSON Schemas of a worker
    #[command(subcommand)]
    Schema(schema::Schema),
    /// Prints a completion script for a shell
    Completions(manual::Completions),
    /// Writes a man page for each command
    Man(manual::Man),
}

impl Command {
    /// Runs the command; `definition` is the command line that completions and man pages describe.
    pub(crate) async fn run(
        self,
        out: Output,
        definition: fn() -> clap::Command,
    ) -> Result<ExitCode, CliError> {
        let is_good = match self {
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
            Self::Completions(completions) => completions.run(definition())?,
            Self::Man(man) => man.run(out, definition())?,
        };
        Ok(match is_good {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
