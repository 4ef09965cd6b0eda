//! The folders of an attempt, made and tested before the job is claimed.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::blockers::{Blockers, START_RETRY};
use crate::Chain;
use crate::retry::Delays;
use crate::scratch::{Folder, RunFolder};

/// How many bytes are written to test whether there is room. A disk without room for them has none for a result.
const PROBE: usize = 64 << 10;

/// A scratch folder could not be made or written to.
#[derive(Debug, thiserror::Error)]
#[error("no scratch folder can be made in {}", .folder.display())]
pub struct ScratchError {
    /// Where it was to be made.
    pub folder: PathBuf,
    /// Why it could not.
    #[source]
    pub source: io::Error,
}

/// An attempt's folders, removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: Folder,
}

impl Scratch {
    /// Makes empty folders, and tests whether there is room in them.
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

/// The folders for the next job, made before its claim, so that no job is claimed that could not be started.
pub(super) struct Prepared {
    scratch: Option<Scratch>,
    /// `None`: the last try succeeded.
    waits: Option<Delays>,
}

impl Prepared {
    pub(super) fn none() -> Self {
        Self {
            scratch: None,
            waits: None,
        }
    }

    /// Makes the folders, or tests those that are there.
    ///
    /// # Errors
    /// Why that failed, and for how long no job must be claimed.
    pub(super) fn ready(
        &mut self,
        run: &RunFolder,
        blockers: &Blockers,
    ) -> Result<(), (ScratchError, Duration)> {
        let good = |scratch: &Scratch| scratch.is_there() && scratch.probe().is_ok();
        let known = self.scratch.take().filter(good);
        match known.map_or_else(|| make(run), Ok) {
            Ok(scratch) => {
                self.scratch = Some(scratch);
                if self.waits.take().is_some() {
                    blockers.set_scratch(None);
                    tracing::info!("scratch folders can be made again, claiming jobs");
                }
                Ok(())
            }
            Err(error) => {
                if self.waits.is_none() {
                    tracing::error!(error = %Chain(&error), "no job is claimed until a scratch folder can be made");
                }
                blockers.set_scratch(Some(Chain(&error).to_string()));
                let waits = self.waits.get_or_insert_with(|| START_RETRY.delays());
                Err((error, waits.next().unwrap_or_default()))
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Scratch> {
        self.scratch.take()
    }
}
