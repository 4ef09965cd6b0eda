//! The runtime against the lab: real sockets, real storage, faults where a test asks for them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attempts;
mod between;
mod blocking;
mod claiming;
mod delivering;
#[path = "../exposition/mod.rs"]
mod exposition;
mod healthy;
mod job_logs;
#[path = "../../../reefguide-storage/tests/lab_storage/mod.rs"]
mod lab_storage;
mod limits;
mod metrics;
mod pacing;
mod recovering;
mod rig;
mod scratch;
#[path = "../../../reefguide-storage/tests/small_disk/mod.rs"]
mod small_disk;
mod stopping;
mod unanswered;
mod watching;
#[path = "../witness/mod.rs"]
mod witness;
