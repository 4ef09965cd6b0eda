//! What the poll loop, the jobs and the sweeper of a worker share.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;

use super::blockers::Blockers;
use super::observer::Observer;
use super::options::RunOptions;
use crate::handler::Registry;
use crate::ledger::Ledger;
use crate::scratch::RunFolder;
use crate::source::JobSource;
use crate::storage::{InputCache, Storage};

pub(super) struct Shared {
    pub(super) source: Arc<dyn JobSource>,
    pub(super) storage: Storage,
    /// `None`: inputs are not kept from one attempt to the next.
    pub(super) inputs: Option<InputCache>,
    /// `None`: claims are not recorded.
    pub(super) records: Option<Ledger>,
    pub(super) registry: Registry,
    pub(super) options: RunOptions,
    /// This run's own folder, removed with it.
    pub(super) scratch: RunFolder,
    pub(super) blockers: Blockers,
    pub(super) observer: Observer,
    /// Signals that a job has ended.
    pub(super) ended: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("registry", &self.registry)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
