//! The command as a person types it, against the lab.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cancelling;
mod doctor;
mod downloading;
mod exit_codes;
mod fixture;
mod input;
mod listing;
mod manual;
mod schemas;
mod sessions;
mod submitting;
mod terminal;
mod unreadable;
mod unwritten;
mod watching;
