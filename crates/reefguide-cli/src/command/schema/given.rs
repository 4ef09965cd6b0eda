//! Where schemas come from: a worker, a file, stdin, a folder of expected ones.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reefguide_transport::text::decode;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{SchemaError, Schemas};
use crate::input::{InputError, text};

/// How long a worker may take to print its schemas.
const PRINTS_WITHIN: Duration = Duration::from_secs(60);

/// What a worker says, or has said.
pub(super) async fn schemas(worker: &Path) -> Result<Schemas, SchemaError> {
    let text = match is_program(worker) {
        true => printed(worker).await?,
        false => text(&worker.to_string_lossy()).map_err(unreadable(worker))?,
    };
    parse(&text, worker)
}

/// The schemas in a folder; none if there is no such folder.
pub(super) fn expected(folder: &Path) -> Result<Schemas, SchemaError> {
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

async fn printed(worker: &Path) -> Result<String, SchemaError> {
    let path = worker.to_owned();
    // A name alone is looked for in PATH, and here it is the file.
    let program = std::path::absolute(worker).map_err(unreadable(worker))?;
    let running = Command::new(program)
        .arg("schema")
        // No worker needs it for that.
        .env_remove("REEFGUIDE_PASSWORD")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(PRINTS_WITHIN, running).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(SchemaError::Run { path, source }),
        Err(_) => {
            let seconds = PRINTS_WITHIN.as_secs();
            return Err(SchemaError::Slow { path, seconds });
        }
    };
    if !output.status.success() {
        return Err(SchemaError::Failed {
            path,
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
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
