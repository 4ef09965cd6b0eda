//! Tests of what the recorded exchanges do not cover: races, limits, connections and faults.
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod access;
mod audit;
mod bodies;
mod claims;
mod faults;
mod hosts;
mod jobs;
mod page;
mod presigned;
#[path = "../s3_client/mod.rs"]
mod s3_client;
mod session;
mod transport;
