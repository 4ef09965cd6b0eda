//! The cache of inputs, over a lab's S3 server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fixture;
mod keeping;
#[path = "../lab_storage/mod.rs"]
mod lab_storage;
mod processes;
mod sharing;
#[path = "../small_disk/mod.rs"]
mod small_disk;
