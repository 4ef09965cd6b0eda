//! ECS: the task that this worker runs as, and its protection from scale-in while jobs run.
//!
//! A worker needs neither: it also runs outside ECS, and where the agent does not offer them.

mod identity;
mod protection;

pub use identity::TaskIdentity;
pub use protection::ScaleInProtection;

use std::time::Duration;

use crate::retry::RetryPolicy;

/// The time limit of one request to the ECS agent.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a request to the ECS agent is tried.
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_millis(250)).tries(3);
