//! Everything that a handler file needs: `use reefguide_worker::prelude::*;`.

pub use std::process::ExitCode;

pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json::json;

pub use crate::handler::{
    BlockingContext, BlockingJobHandler, JobContext, JobError, JobHandler, Program, Registry,
};
pub use crate::retry::{Growth, RetryPolicy};
pub use crate::runtime::Worker;
pub use crate::storage::StorageUri;
