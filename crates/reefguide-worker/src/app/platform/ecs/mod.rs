//! ECS: which task this worker is, and keeping it from being scaled in while it works.
//!
//! Off ECS, or where the agent offers none of it, a worker does without.

mod identity;
mod protection;

pub use identity::TaskIdentity;
pub use protection::ScaleInProtection;

use std::time::Duration;

use crate::retry::RetryPolicy;

/// The ECS agent is asked with this time limit a request,
const TIMEOUT: Duration = Duration::from_secs(2);
/// and so often.
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_millis(250)).tries(3);
