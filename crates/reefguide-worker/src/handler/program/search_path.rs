//! The search for a program's file.

use std::env::{current_dir, current_exe, join_paths, split_paths};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use super::executable::{is_executable, why_not_executable};

/// Where `exec` searches when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The folders to search for a program, as absolute paths.
pub(super) struct SearchPath {
    /// The worker's current folder.
    current: PathBuf,
    /// The folders of `PATH`.
    path: Vec<PathBuf>,
    any_relative: bool,
    /// The folder of the worker's own executable.
    own: Option<PathBuf>,
}

impl SearchPath {
    /// For a program with this `PATH`.
    pub(super) fn new(path: Option<OsString>) -> io::Result<Self> {
        let current = current_dir()?;
        let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
        let exe = current_exe().ok();
        Ok(Self {
            path: split_paths(&path)
                .map(|folder| current.join(folder))
                .collect(),
            any_relative: split_paths(&path).any(|folder| folder.is_relative()),
            own: exe.and_then(|exe| Some(exe.parent()?.to_owned())),
            current,
        })
    }

    /// `PATH` with absolute folders only; `None` if it has no relative ones or they cannot be made absolute.
    pub(super) fn absolute_path(&self) -> Option<OsString> {
        self.any_relative.then(|| join_paths(&self.path).ok())?
    }

    /// Whether a file is in a folder of `PATH`.
    pub(super) fn has_in_path(&self, file: &Path) -> bool {
        self.path.iter().any(|folder| file.parent() == Some(folder))
    }

    /// Finds a program. A name is searched for in `PATH`, then beside the worker's executable; a relative path in the
    /// worker's current folder, then beside its executable, then in the folders of `PATH`.
    pub(super) fn find(&self, program: &OsStr) -> Result<PathBuf, NotFound> {
        let name = Path::new(program);
        let own = self.own.as_ref();
        let folders: Vec<&PathBuf> = match is_bare(name) {
            true => self.path.iter().chain(own).collect(),
            false => [&self.current]
                .into_iter()
                .chain(own)
                .chain(&self.path)
                .collect(),
        };
        let candidates = folders.iter().map(|folder| folder.join(name));
        if let Some(found) = candidates.clone().find(|file| is_executable(file)) {
            return Ok(found);
        }
        if name.is_absolute() || name.as_os_str().is_empty() {
            return Err(match (fs::metadata(name), why_not_executable(name)) {
                (_, Some(reason)) => NotFound::Unusable(None, reason),
                (metadata, None) => NotFound::Unreadable(metadata.err()),
            });
        }
        let unusable = candidates
            .filter_map(|file| Some((why_not_executable(&file)?, file)))
            .next();
        Err(match unusable {
            Some((reason, file)) => NotFound::Unusable(Some(file), reason),
            None => NotFound::Nowhere(folders.into_iter().cloned().collect()),
        })
    }
}

/// Whether a program is given as a name, not as a path.
pub(super) fn is_bare(program: &Path) -> bool {
    program.components().count() == 1
}

/// Why there is no program to start.
pub(super) enum NotFound {
    Unreadable(Option<io::Error>),
    Nowhere(Vec<PathBuf>),
    /// A file that cannot be started (`None` if it is the one that was asked for), and why.
    Unusable(Option<PathBuf>, String),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(Some(error)) => error.fmt(f),
            Self::Unreadable(None) => write!(f, "there is no such file"),
            Self::Nowhere(folders) => {
                let folders: Vec<_> = folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect();
                let folders = folders.join(", ");
                write!(
                    f,
                    "not found in {folders}; install it, or add its folder to PATH"
                )
            }
            Self::Unusable(None, reason) => write!(f, "it {reason}"),
            Self::Unusable(Some(file), reason) => write!(f, "{} {reason}", file.display()),
        }
    }
}
