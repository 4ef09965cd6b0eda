//! Tests of the `reefguide-lab` command, run as a process.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod errors;
mod help;
mod lab_process;
mod submit;
mod up;
