//! What a worker says of itself: its health, its metrics, and the logs of single jobs.

pub mod health;
pub(crate) mod job_log;
pub mod metrics;
