//! The saved session: commands after `login` use its refresh token, in a file that only its owner can read.
//!
//! The API allows five logins in 15 minutes, too few for a login per command. Refreshing a token has no such limit.

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
struct SavedSession {
    api: String,
    email: String,
    refresh_token: String,
}

/// Why there is no session, or why it cannot be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("not logged in; run `reefguide login --api URL --email EMAIL`")]
    NotLoggedIn,
    #[error("the session in {} cannot be used; run `reefguide login` again", .path.display())]
    Unusable {
        path: PathBuf,
        source: UnusableSession,
    },
    #[error(
        "the session cannot be saved as {}; set REEFGUIDE_CONFIG_DIR to a writable folder",
        .path.display()
    )]
    Unsaved { path: PathBuf, source: io::Error },
    #[error(
        "there is no configuration folder: set REEFGUIDE_CONFIG_DIR, or set HOME to an absolute path"
    )]
    NoFolder,
    #[error(transparent)]
    Home(#[from] UnknownHome),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Why a saved session cannot be used. Its content is not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableSession {
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("line {line} is damaged")]
    Damaged { line: usize },
    #[error("its address cannot be used")]
    Address(#[from] BadAddress),
}

/// How the command identifies itself to the API.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// More bytes than a session needs.
const RESERVED: usize = 8 << 10;

/// A file for a session, with disk space reserved for it.
pub(crate) struct SessionFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl SessionFile {
    /// Checks that a session can be saved before one of the few logins is used.
    pub(crate) fn reserve() -> Result<Self, SessionError> {
        let path = path()?;
        match reserve(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(SessionError::Unsaved { path, source }),
        }
    }

    /// Logs in and saves the session.
    pub(crate) async fn log_in(
        self,
        api: &str,
        email: &str,
        password: SecretString,
    ) -> Result<(), SessionError> {
        let_signals_in().await;
        let client = Client::builder(api, email, password)
            .user_agent(USER_AGENT)
            .build()?;
        let refresh_token = client.log_in().await?.expose_secret().to_owned();
        let saved = SavedSession {
            api: api.to_owned(),
            email: email.to_owned(),
            refresh_token,
        };
        let Self { path, file } = self;
        fill(file, &path, &saved).map_err(|source| SessionError::Unsaved { path, source })
    }
}

/// Creates a file as large as a session, with mode 0600, next to the one that it will replace.
fn reserve(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut file = NamedTempFile::new_in(folder)?;
    // Errors of `NamedTempFile` itself would name the temporary file.
    file.as_file_mut().write_all(&[b' '; RESERVED])?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn fill(mut file: NamedTempFile, path: &Path, saved: &SavedSession) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(saved)?;
    file.as_file_mut().rewind()?;
    file.as_file_mut().write_all(&text)?;
    file.as_file().set_len(text.len() as u64)?;
    file.persist(path)?;
    Ok(())
}

/// Yields once, so that signal handlers are installed. All input from the terminal has been read by now, and a fast API
/// might answer before the command waits for anything else.
async fn let_signals_in() {
    tokio::task::yield_now().await;
}

/// A client that resumes the saved session.
pub(crate) async fn client(out: Output) -> Result<Client, SessionError> {
    let_signals_in().await;
    let path = path()?;
    let saved = match load(&path, out) {
        Err(UnusableSession::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SessionError::NotLoggedIn);
        }
        loaded => loaded.map_err(|source| SessionError::Unusable { path, source })?,
    };
    let client = Client::resume(saved.api, saved.email, saved.refresh_token);
    Ok(client.user_agent(USER_AGENT).build()?)
}

fn load(path: &Path, out: Output) -> Result<SavedSession, UnusableSession> {
    let bytes = std::fs::read(path)?;
    let mode = path.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        out.note(format_args!(
            "others can read the session in {path}: `chmod 600 {path}`, or log in again"
        ));
    }
    // A JSON error would quote the content.
    let saved: SavedSession = text::json(&bytes).map_err(|error| match error {
        TextError::Json(error) => UnusableSession::Damaged { line: error.line() },
        _ => UnusableSession::Damaged { line: 1 },
    })?;
    address::api(&saved.api)?;
    Ok(saved)
}

/// Removes the saved session.
pub(crate) fn log_out() -> Result<(), SessionError> {
    let path = path()?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.map_err(unwritable(&path))?),
    }
}

fn path() -> Result<PathBuf, SessionError> {
    let folder = match input::variable("REEFGUIDE_CONFIG_DIR") {
        Some(folder) => input::expand_home(folder)?,
        None => etcetera::choose_base_strategy()
            .map(|strategy| strategy.config_dir().join("reefguide"))
            .ok()
            // Without a home folder it would be relative to the current folder.
            .filter(|folder| folder.is_absolute())
            .ok_or(SessionError::NoFolder)?,
    };
    Ok(folder.join("session.json"))
}
