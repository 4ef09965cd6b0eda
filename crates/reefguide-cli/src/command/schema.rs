//! `schema diff`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::error::CliError;
use crate::input;
use crate::output::Output;
use crate::schemas::{self, Difference, differences};

#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Compares a worker's schemas with a folder of expected schemas; the exit code is 1 if they differ
    ///
    /// The folder has a file `TYPE.json` for each job type, with the `input` and `output` schemas that
    /// `worker schema TYPE` prints below the type. Titles, descriptions, examples and comments are not compared, and
    /// neither is the order of lists such as `required`.
    Diff(Diff),
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The worker, which is run as `WORKER schema`, or a file with what this prints, or `-` for stdin.
    #[arg(value_name = "WORKER|FILE|-", value_parser = input::path())]
    worker: PathBuf,
    /// The folder of expected schemas.
    #[arg(long, value_name = "DIR", value_parser = input::path())]
    expected: PathBuf,
    /// Writes the worker's schemas to the folder and removes the files of types that the worker does not have.
    #[arg(long)]
    update: bool,
}

impl Schema {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let Self::Diff(diff) = self;
        let given = schemas::of_worker(&diff.worker).await?;
        let expected = schemas::read(&diff.expected)?;
        let found = differences(&expected, &given);
        if diff.update {
            schemas::write(&diff.expected, &expected, &given)?;
        }
        let printed = out.print(&found, |found| describe(found, diff.update));
        match diff.update {
            true => printed.map_err(CliError::unprinted("the expected schemas are written"))?,
            false => printed?,
        }
        Ok(found.is_empty() || diff.update)
    }
}

fn describe(found: &[Difference], updated: bool) -> String {
    let mut text = String::new();
    let mut last = None;
    for difference in found {
        if last.replace(&difference.job_type) != Some(&difference.job_type) {
            let _ = writeln!(text, "{}", difference.job_type);
        }
        let _ = writeln!(text, "  {difference}");
    }
    text + match (found.is_empty(), updated) {
        (true, _) => "the schemas are as expected",
        (false, true) => "the expected schemas are updated",
        (false, false) => "the schemas are not as expected; --update accepts them",
    }
}
