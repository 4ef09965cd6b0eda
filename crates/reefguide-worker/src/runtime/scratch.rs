//! The folders of an attempt, made and tried before anything depends on them.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::trouble::WAITS;
use super::worker::Shared;
use crate::Chain;
use crate::retry::Delays;
use crate::scratch::{Folder, RunFolder};

/// How many bytes are written to see whether there is room: one that is full has none for a result either.
const PROBE: usize = 64 << 10;

/// No scratch folder can be made, or nothing written into it.
#[derive(Debug, thiserror::Error)]
#[error("no scratch folder can be made in {}", .folder.display())]
pub struct ScratchError {
    /// Where it was to be.
    pub folder: PathBuf,
    /// Why it cannot.
    #[source]
    pub source: io::Error,
}

/// An attempt's folders, removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: Folder,
}

impl Scratch {
    /// Makes empty folders, and tries whether there is room in them.
    fn create(run: &RunFolder) -> io::Result<Self> {
        run.ensure()?;
        let folder = Folder::new_in(run.path(), "job-")?;
        let scratch = Self { folder };
        fs::create_dir(scratch.work())?;
        fs::create_dir(scratch.outputs())?;
        scratch.probe()?;
        Ok(scratch)
    }

    fn probe(&self) -> io::Result<()> {
        let probe = self.folder.path().join("probe");
        fs::write(&probe, [0; PROBE])?;
        fs::remove_file(probe)
    }

    /// Whether the folders are still there.
    pub(super) fn is_there(&self) -> bool {
        self.work().is_dir() && self.outputs().is_dir()
    }

    pub(super) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(super) fn outputs(&self) -> PathBuf {
        self.folder.path().join("outputs")
    }
}

/// Makes the folders of an attempt.
pub(super) fn make(run: &RunFolder) -> Result<Scratch, ScratchError> {
    let path = run.path();
    Scratch::create(run).map_err(|source| ScratchError {
        folder: path.parent().unwrap_or(path).to_owned(),
        source,
    })
}

/// The folders for the job that is claimed next, so that no job is claimed that could not be begun.
pub(super) struct Prepared {
    scratch: Option<Scratch>,
    /// `None`: the last try was good.
    waits: Option<Delays>,
}

impl Prepared {
    pub(super) fn none() -> Self {
        Self {
            scratch: None,
            waits: None,
        }
    }

    /// Makes the folders or tries them again. If that fails, no job must be claimed for as long as is returned.
    pub(super) fn ready(&mut self, shared: &Shared) -> Result<(), (ScratchError, Duration)> {
        let good = |scratch: &Scratch| scratch.is_there() && scratch.probe().is_ok();
        let known = self.scratch.take().filter(good);
        match known.map_or_else(|| make(&shared.scratch), Ok) {
            Ok(scratch) => {
                self.scratch = Some(scratch);
                if self.waits.take().is_some() {
                    shared.troubles.scratch(None);
                    tracing::info!("scratch folders can be made again, claiming jobs");
                }
                Ok(())
            }
            Err(error) => {
                if self.waits.is_none() {
                    tracing::error!(error = %Chain(&error), "no job is claimed until a scratch folder can be made");
                }
                shared.troubles.scratch(Some(Chain(&error).to_string()));
                let waits = self.waits.get_or_insert_with(|| WAITS.delays());
                Err((error, waits.next().unwrap_or_default()))
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Scratch> {
        self.scratch.take()
    }
}
