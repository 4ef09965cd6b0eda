//! The session between commands: whom the API knows us as, kept where only its owner reads it.
//!
//! Every command of its own login would soon meet the limit of five in 15 minutes; a refresh token
//! has no such limit.

use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use reefguide_client::{ApiError, Client};
use reefguide_transport::text::{self, TextError};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::address::{self, BadAddress};
use crate::files::{FileError, unwritable};
use crate::input::{self, UnknownHome};
use crate::output::Output;

#[derive(Deserialize, Serialize)]
struct Kept {
    api: String,
    email: String,
    refresh_token: String,
}

/// Why there is no session, or none can be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("not logged in; run `reefguide login --api URL --email EMAIL`")]
    NotLoggedIn,
    #[error("the session in {} is of no use; run `reefguide login` again", .path.display())]
    Useless { path: PathBuf, source: Useless },
    #[error(
        "the session cannot be kept as {}; set REEFGUIDE_CONFIG_DIR to a folder that can be written",
        .path.display()
    )]
    Unkept { path: PathBuf, source: io::Error },
    #[error(
        "there is no folder for configuration: set REEFGUIDE_CONFIG_DIR, or HOME to an absolute path"
    )]
    NoFolder,
    #[error(transparent)]
    Home(#[from] UnknownHome),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Why a session that was kept cannot be used. What is in it is not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Useless {
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("line {} has no session", .line)]
    Damaged { line: usize },
    #[error("its address cannot be used")]
    Address(#[from] BadAddress),
}

/// More than a session takes, in bytes.
const ROOM: usize = 8 << 10;

/// Where a session will be kept, with room for it.
pub(crate) struct Place {
    path: PathBuf,
    file: NamedTempFile,
}

impl Place {
    /// Finds out whether a session can be kept, before a login is spent on one.
    pub(crate) fn prepare() -> Result<Self, SessionError> {
        let path = path()?;
        match reserve(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(SessionError::Unkept { path, source }),
        }
    }

    /// Logs in and keeps the session.
    pub(crate) async fn log_in(
        self,
        api: &str,
        email: &str,
        password: SecretString,
    ) -> Result<(), SessionError> {
        listen().await;
        let client = Client::builder(api, email, password).build()?;
        let refresh_token = client.log_in().await?.expose_secret().to_owned();
        let kept = Kept {
            api: api.to_owned(),
            email: email.to_owned(),
            refresh_token,
        };
        let Self { path, file } = self;
        fill(file, &path, &kept).map_err(|source| SessionError::Unkept { path, source })
    }
}

/// A file of the size of a session, with mode 0600, beside the one that it is to replace.
fn reserve(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut file = NamedTempFile::new_in(folder)?;
    // Not by way of the file's name, which would be in an error.
    file.as_file_mut().write_all(&[b' '; ROOM])?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn fill(mut file: NamedTempFile, path: &Path, kept: &Kept) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(kept)?;
    file.as_file_mut().rewind()?;
    file.as_file_mut().write_all(&text)?;
    file.as_file().set_len(text.len() as u64)?;
    file.persist(path)?;
    Ok(())
}

/// Lets signals be listened to, now that all that a terminal is asked for has been read. The API may answer so soon that
/// a command would not wait once before it says something.
async fn listen() {
    tokio::task::yield_now().await;
}

/// A client that goes on with the session that was kept.
pub(crate) async fn client(out: Output) -> Result<Client, SessionError> {
    listen().await;
    let path = path()?;
    let kept = match kept(&path, out) {
        Err(Useless::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SessionError::NotLoggedIn);
        }
        kept => kept.map_err(|source| SessionError::Useless { path, source })?,
    };
    Ok(Client::resume(kept.api, kept.email, kept.refresh_token).build()?)
}

fn kept(path: &Path, out: Output) -> Result<Kept, Useless> {
    let bytes = std::fs::read(path)?;
    let mode = path.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        out.note(format_args!(
            "others can read the session in {path}: `chmod 600 {path}`, or log in again"
        ));
    }
    // An error of JSON would quote what is in it.
    let kept: Kept = text::json(&bytes).map_err(|error| match error {
        TextError::Json(error) => Useless::Damaged { line: error.line() },
        _ => Useless::Damaged { line: 1 },
    })?;
    address::api(&kept.api)?;
    Ok(kept)
}

/// Forgets the session.
pub(crate) fn log_out() -> Result<(), SessionError> {
    let path = path()?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.map_err(unwritable(&path))?),
    }
}

fn path() -> Result<PathBuf, SessionError> {
    let folder = match input::variable("REEFGUIDE_CONFIG_DIR") {
        Some(folder) => input::at_home(folder)?,
        None => etcetera::choose_base_strategy()
            .map(|strategy| strategy.config_dir().join("reefguide"))
            .ok()
            // Without a home folder it would be below the current one.
            .filter(|folder| folder.is_absolute())
            .ok_or(SessionError::NoFolder)?,
    };
    Ok(folder.join("session.json"))
}
