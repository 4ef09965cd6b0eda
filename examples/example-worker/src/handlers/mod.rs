//! The handlers, one in each file.

mod depth_summary;
mod test;

use reefguide_worker::prelude::*;

/// All handlers of this worker.
pub fn registry() -> Registry {
    Registry::new()
        .handler(test::Test)
        .blocking(depth_summary::DepthSummary)
}
