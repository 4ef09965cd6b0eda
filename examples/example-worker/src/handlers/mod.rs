//! The handlers, one file each.

mod depth_summary;
mod test;

use reefguide_worker::prelude::*;

/// Every handler of this worker.
pub fn registry() -> Registry {
    Registry::new()
        .handler(test::Test)
        .blocking(depth_summary::DepthSummary)
}
