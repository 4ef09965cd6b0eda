//! Transfers under faults: after each fault, and wherever they are cancelled, nothing is half done
//! and nothing is left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cancel;
#[path = "../content/mod.rs"]
mod content;
mod disk;
mod download;
mod failure;
mod fixture;
mod foreign;
#[path = "../lab_storage/mod.rs"]
mod lab_storage;
mod reader;
mod requests;
#[path = "../small_disk/mod.rs"]
mod small_disk;
mod stall;
mod upload;
