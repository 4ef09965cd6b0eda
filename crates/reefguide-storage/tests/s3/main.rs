//! What is said to an S3 server, and what is made of its answers: against a server that answers as
//! each test wants, for what no real server does when asked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod direct;
mod download;
mod foreign;
mod presigned_downloads;
mod secrets;
mod server;
mod tried;
mod upload;
mod verifying;
