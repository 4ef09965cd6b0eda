//! The requests to an S3 server, and the effect of its answers. The server answers as
//! each test chooses, since no real server does that on demand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod direct;
mod download;
mod foreign;
mod presigned_downloads;
mod secrets;
mod server;
mod tries;
mod upload;
mod verifying;
