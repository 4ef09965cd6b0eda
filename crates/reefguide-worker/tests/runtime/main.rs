//! The runtime against the lab: real sockets, real storage, faults where a test asks for them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attempts;
mod between;
mod blocking;
mod claiming;
mod delivering;
#[path = "../exposition/mod.rs"]
mod exposition;
#[path = "../../../process-tests/tests/process/fifo_probe.rs"]
mod fifo_probe;
mod fixture;
mod healthy;
mod job_logs;
#[path = "../../../reefguide-storage/tests/lab_storage/mod.rs"]
mod lab_storage;
mod limits;
mod metrics;
mod pacing;
mod recovering;
mod scratch;
#[path = "../../../reefguide-storage/tests/small_disk/mod.rs"]
mod small_disk;
mod stopping;
mod unanswered;
mod watching;
