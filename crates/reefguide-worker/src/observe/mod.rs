//! What a worker reports about itself: its health, its metrics, and the logs of single jobs.

pub mod health;
pub(crate) mod job_log;
pub(crate) mod json_lines;
pub mod metrics;
