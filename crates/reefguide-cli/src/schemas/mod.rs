//! JSON Schemas of job types: what a worker has, and a folder of what is expected.

mod difference;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reefguide_transport::text::decode;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

pub(crate) use self::difference::{Difference, Schemas, differences};
use crate::files::{FileError, unwritable, write_all};
use crate::input::{InputError, read_text};

/// How long a worker may take to print its schemas.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Why schemas could not be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("{} cannot be read", .path.display())]
    Unreadable { path: PathBuf, source: InputError },
    #[error("{} does not hold schemas as `worker schema` prints them", .path.display())]
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
    #[error("`{} schema` ended with {status}: {stderr}", .path.display())]
    Failed {
        path: PathBuf,
        status: std::process::ExitStatus,
        stderr: String,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("job type {job_type:?} cannot be a file name")]
    Name { job_type: String },
}

/// Runs a worker program, or reads what it has printed before.
pub(crate) async fn of_worker(worker: &Path) -> Result<Schemas, SchemaError> {
    let text = match is_program(worker) {
        true => run(worker).await?,
        false => read_text(&worker.to_string_lossy()).map_err(unreadable(worker))?,
    };
    parse(&text, worker)
}

/// Reads the schemas in a folder; none if it does not exist.
pub(crate) fn read(folder: &Path) -> Result<Schemas, SchemaError> {
    let mut schemas = Schemas::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(schemas),
        entries => entries.map_err(unreadable(folder))?,
    };
    for entry in entries {
        let path = entry.map_err(unreadable(folder))?.path();
        let Some(job_type) = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".json"))
        else {
            continue;
        };
        let bytes = std::fs::read(&path).map_err(unreadable(&path))?;
        let text = decode(&bytes).map_err(unreadable(&path))?;
        schemas.insert(job_type.to_owned(), parse::<Value>(text, &path)?);
    }
    Ok(schemas)
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

async fn run(worker: &Path) -> Result<String, SchemaError> {
    let path = worker.to_owned();
    // A name without a folder would be looked up in PATH.
    let program = std::path::absolute(worker).map_err(unreadable(worker))?;
    let running = Command::new(program)
        .arg("schema")
        // A worker does not need the password to print its schemas.
        .env_remove("REEFGUIDE_PASSWORD")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(TIME_LIMIT, running).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(SchemaError::Run { path, source }),
        Err(_) => {
            let seconds = TIME_LIMIT.as_secs();
            return Err(SchemaError::Slow { path, seconds });
        }
    };
    if !output.status.success() {
        return Err(SchemaError::Failed {
            path,
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let text = decode(&output.stdout).map_err(unreadable(&path))?;
    Ok(text.to_owned())
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T, SchemaError> {
    serde_json::from_str(text).map_err(|source| SchemaError::NoSchemas {
        path: path.to_owned(),
        source,
    })
}

fn unreadable<E: Into<InputError>>(path: &Path) -> impl FnOnce(E) -> SchemaError + use<E> {
    let path: PathBuf = path.to_owned();
    move |source| SchemaError::Unreadable {
        path,
        source: source.into(),
    }
}

/// Replaces the schemas in a folder.
pub(crate) fn write(folder: &Path, before: &Schemas, now: &Schemas) -> Result<(), SchemaError> {
    let mut files = Vec::new();
    for (job_type, schemas) in now {
        // With descriptions, for people who read the folder.
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
