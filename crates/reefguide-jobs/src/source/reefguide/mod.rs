//! The ReefGuide web API: a typed client, and the job source a worker polls.
//!
//! [`Client`] speaks the API for workers and submitters alike: it logs in, keeps its token fresh and
//! turns the API's five shapes of error, and whatever something in between may answer, into one [`ApiError`]. [`ReefGuide`] makes a
//! [`JobSource`](super::JobSource) of it, with the fence that lets one worker only run a job.

mod convert;
mod fence;

pub use reefguide_client::*;

pub use fence::{ReefGuide, ReefGuideBuilder};
