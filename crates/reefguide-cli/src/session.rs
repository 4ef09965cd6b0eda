//! The session between commands: whom the API knows us as, kept where only its owner reads it.
//!
//! Every command of its own login would soon meet the limit of five in 15 minutes; a refresh token
//! has no such limit.

use std::io::Write;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use reefguide_worker::source::reefguide::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::CliError;

#[derive(Deserialize, Serialize)]
struct Kept {
    api: String,
    email: String,
    refresh_token: String,
}

/// Logs in and keeps the session.
pub(crate) async fn log_in(api: &str, email: &str, password: SecretString) -> Result<(), CliError> {
    let client = Client::builder(api, email, password).build()?;
    let refresh_token = client.log_in().await?.expose_secret().to_owned();
    let kept = Kept {
        api: api.to_owned(),
        email: email.to_owned(),
        refresh_token,
    };
    let path = path()?;
    write(&path, &kept).map_err(|source| CliError::Session { path, source })
}

/// A client that goes on with the session that was kept.
pub(crate) fn client() -> Result<Client, CliError> {
    let path = path()?;
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::NotLoggedIn);
        }
        read => read,
    };
    let kept: Kept = text
        .and_then(|text| Ok(serde_json::from_slice(&text)?))
        .map_err(|source| CliError::Session { path, source })?;
    Ok(Client::resume(kept.api, kept.email, kept.refresh_token).build()?)
}

/// Forgets the session.
pub(crate) fn log_out() -> Result<(), CliError> {
    let path = path()?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| CliError::Session { path, source }),
    }
}

fn path() -> Result<PathBuf, CliError> {
    let folder = match std::env::var_os("REEFGUIDE_CONFIG_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => etcetera::choose_base_strategy()
            .map_err(|_| CliError::NoConfigFolder)?
            .config_dir()
            .join("reefguide"),
    };
    Ok(folder.join("session.json"))
}

/// Writes the file whole or not at all, with mode 0600 from the beginning.
fn write(path: &std::path::Path, kept: &Kept) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.persist(path)?;
    Ok(())
}
