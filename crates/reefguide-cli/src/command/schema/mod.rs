//! `schema diff`: a worker's schemas against those that are expected.

mod difference;
mod given;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use self::difference::{Difference, differences};
use crate::error::CliError;
use crate::files::{FileError, unwritable, write_all};
use crate::input::{self, InputError};
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Compares a worker's schemas with a folder of expected ones; the exit code is 1 if they differ
    ///
    /// The folder has a file `TYPE.json` for each job type, with what `worker schema TYPE` prints below the type: the
    /// schemas of `input` and `output`. What a schema says to people (titles, descriptions, examples, comments) is
    /// not compared, and the order of lists that are sets does not matter.
    Diff(Diff),
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The worker, which is run as `WORKER schema`; or a file with what that printed, or `-` for stdin.
    #[arg(value_name = "WORKER|FILE|-", value_parser = input::path())]
    worker: PathBuf,
    /// The folder of expected schemas.
    #[arg(long, value_name = "DIR", value_parser = input::path())]
    expected: PathBuf,
    /// Writes what the worker has into the folder, and removes the files of types it does not have.
    #[arg(long)]
    update: bool,
}

/// Why schemas could not be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("{} cannot be read", .path.display())]
    Unreadable { path: PathBuf, source: InputError },
    #[error("{} holds no schemas as `worker schema` prints them", .path.display())]
    NoSchemas {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("`{} schema` cannot be run", .path.display())]
    Run {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{} schema` did not end within {seconds} s", .path.display())]
    Slow { path: PathBuf, seconds: u64 },
    #[error("`{} schema` ended with {status}: {said}", .path.display())]
    Failed {
        path: PathBuf,
        status: std::process::ExitStatus,
        said: String,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("job type {job_type:?} cannot be the name of a file")]
    Name { job_type: String },
}

/// Schemas by job type.
type Schemas = BTreeMap<String, Value>;

impl Schema {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let Self::Diff(diff) = self;
        let given = given::schemas(&diff.worker).await?;
        let expected = given::expected(&diff.expected)?;
        let found = differences(&expected, &given);
        if diff.update {
            write(&diff.expected, &expected, &given)?;
        }
        let printed = out.print(&found, |found| said(found, diff.update));
        match diff.update {
            true => printed.map_err(CliError::untold("the expected schemas are written"))?,
            false => printed?,
        }
        Ok(found.is_empty() || diff.update)
    }
}

fn said(found: &[Difference], updated: bool) -> String {
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
        (false, true) => "the expected schemas are now these",
        (false, false) => "the schemas are not as expected; --update expects these from now on",
    }
}

fn write(folder: &Path, before: &Schemas, now: &Schemas) -> Result<(), SchemaError> {
    let mut files = Vec::new();
    for (job_type, schemas) in now {
        // The schemas as they are, descriptions too, for those who read the folder.
        let text = format!("{schemas:#}\n");
        files.push((file(folder, job_type)?, text.into_bytes()));
    }
    write_all(folder, files)?;
    for job_type in before.keys().filter(|name| !now.contains_key(*name)) {
        let path = file(folder, job_type)?;
        std::fs::remove_file(&path).map_err(unwritable(&path))?;
    }
    Ok(())
}

fn file(folder: &Path, job_type: &str) -> Result<PathBuf, SchemaError> {
    match job_type.contains(['/', '\\']) || job_type.starts_with('.') {
        true => Err(SchemaError::Name {
            job_type: job_type.to_owned(),
        }),
        false => Ok(folder.join(format!("{job_type}.json"))),
    }
}
