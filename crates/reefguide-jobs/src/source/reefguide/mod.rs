//! The ReefGuide web API: a typed client, and the job source that a worker polls.
//!
//! The [`Client`] is for workers and submitters alike: it logs in, keeps its token fresh, and returns the API's errors, and
//! answers of anything in between, as [`ApiError`]. [`ReefGuide`] is a [`JobSource`](super::JobSource) on top of it, with
//! the fence that leaves a job to one worker.

mod convert;
mod fence;
mod source;

pub use reefguide_client::*;

pub use source::{ReefGuide, ReefGuideBuilder};
