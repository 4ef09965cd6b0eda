//! The command as a person types it, against the lab.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cancelling;
#[cfg(feature = "bucket")]
mod doctor;
mod downloading;
mod exit_codes;
mod fixture;
mod input;
mod listing;
mod manual;
#[cfg(not(feature = "bucket"))]
mod no_bucket;
mod schemas;
mod sessions;
mod submitting;
mod terminal;
mod unreadable;
mod unwritten;
mod watching;
