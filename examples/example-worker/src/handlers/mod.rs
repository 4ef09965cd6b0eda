//! The handlers, one file each.

mod depth_summary;
mod test;

use reefguide_worker::runtime::WorkerBuilder;

/// Adds every handler to a worker.
pub fn register(worker: WorkerBuilder) -> WorkerBuilder {
    worker
        .handler(test::Test)
        .handler(depth_summary::DepthSummary)
}
