//! Where a program is.

use std::env::{current_dir, current_exe, join_paths, split_paths};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use rustix::fs::{Access, access};

use super::obstacle::obstacle;

/// Where `exec` looks when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The folders that programs are looked for in, all of them absolute.
pub(super) struct Places {
    /// The worker's current folder.
    here: PathBuf,
    /// The folders of `PATH`.
    path: Vec<PathBuf>,
    any_relative: bool,
    /// The folder of the worker's own program.
    own: Option<PathBuf>,
}

impl Places {
    /// For a program with this `PATH`.
    pub(super) fn new(path: Option<OsString>) -> io::Result<Self> {
        let here = current_dir()?;
        let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
        let exe = current_exe().ok();
        Ok(Self {
            path: split_paths(&path).map(|folder| here.join(folder)).collect(),
            any_relative: split_paths(&path).any(|folder| folder.is_relative()),
            own: exe.and_then(|exe| Some(exe.parent()?.to_owned())),
            here,
        })
    }

    /// `PATH` as it means the same in every folder; `None` if it does already, or that cannot be said.
    pub(super) fn absolute_path(&self) -> Option<OsString> {
        self.any_relative.then(|| join_paths(&self.path).ok())?
    }

    /// Whether a program is in `PATH`.
    pub(super) fn has_in_path(&self, file: &Path) -> bool {
        self.path.iter().any(|folder| file.parent() == Some(folder))
    }

    /// Finds a program: a name in `PATH`, then beside the worker's own program; a relative path from the worker's
    /// current folder, then from its own program's, then from those of `PATH`.
    pub(super) fn find(&self, program: &OsStr) -> Result<PathBuf, NotFound> {
        let name = Path::new(program);
        let (here, own) = (Some(&self.here), self.own.as_ref());
        let folders: Vec<&PathBuf> = match is_bare(name) {
            true => self.path.iter().chain(own).collect(),
            false => here.into_iter().chain(own).chain(&self.path).collect(),
        };
        let candidates = folders.iter().map(|folder| folder.join(name));
        if let Some(found) = candidates.clone().find(|file| is_executable(file)) {
            return Ok(found);
        }
        if name.is_absolute() || name.as_os_str().is_empty() {
            return Err(match (fs::metadata(name), obstacle(name)) {
                (_, Some(obstacle)) => NotFound::Unusable(None, obstacle),
                (metadata, None) => NotFound::Unreadable(metadata.err()),
            });
        }
        let unusable = candidates
            .filter_map(|file| Some((obstacle(&file)?, file)))
            .next();
        Err(match unusable {
            Some((obstacle, file)) => NotFound::Unusable(Some(file), obstacle),
            None => NotFound::Nowhere(folders.into_iter().cloned().collect()),
        })
    }
}

/// Whether a program is looked for by its name only.
pub(super) fn is_bare(program: &Path) -> bool {
    program.components().count() == 1
}

pub(super) fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

/// Why there is no program to start.
pub(super) enum NotFound {
    Unreadable(Option<io::Error>),
    Nowhere(Vec<PathBuf>),
    /// A file, unless it is the one that was asked for.
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
            Self::Unusable(None, obstacle) => write!(f, "it {obstacle}"),
            Self::Unusable(Some(file), obstacle) => write!(f, "{} {obstacle}", file.display()),
        }
    }
}
