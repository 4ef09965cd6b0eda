//! The runtime against the lab: real sockets, real storage, faults where a test asks for them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attempts;
mod between;
mod claiming;
mod delivering;
#[path = "../exposition/mod.rs"]
mod exposition;
mod healthy;
mod job_logs;
#[path = "../lab_storage/mod.rs"]
mod lab_storage;
mod limits;
mod metrics;
mod pacing;
mod recovering;
mod rig;
mod stopping;
mod unanswered;
mod watching;
#[path = "../witness/mod.rs"]
mod witness;
