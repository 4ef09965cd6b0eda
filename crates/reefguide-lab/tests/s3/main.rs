//! Tests of the S3 server of a lab with its clients, the AWS SDK and plain HTTP, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod buckets;
mod checksums;
mod conditions;
mod durability;
mod keys;
mod listing;
mod multipart;
mod objects;
#[path = "../s3_client/mod.rs"]
#[expect(dead_code, reason = "the tests of jobs use more of it")]
mod s3_client;
mod server;
