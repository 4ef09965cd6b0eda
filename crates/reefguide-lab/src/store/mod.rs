//! The lab's database: jobs, assignments, results and refresh tokens in SQLite.

mod claims;
mod database;
mod jobs;
mod refresh_tokens;
mod rows;

pub(crate) use claims::{NewAssignment, NewResult};
pub(crate) use database::{JobStore, JobStoreError};
pub(crate) use jobs::{Created, JobSummary, OLD};
pub(crate) use rows::{Assignment, AssignmentDetails, Job, JobDetails, Status, Time};
