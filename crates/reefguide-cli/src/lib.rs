//! The `reefguide` command, which submits jobs to the ReefGuide API, follows them and downloads their outputs.
//!
//! [`main`] is the whole command. The other items are the parts of it that `cargo demo` of this repository shows with
//! its own client: [`watch_jobs`], [`fetch_outputs`] and [`table`]. They may change in any release; a program that
//! talks to the API should use its client instead.

mod address;
mod batch;
mod cli;
mod command;
mod error;
mod fetch;
mod files;
mod input;
mod output;
mod retry;
mod schemas;
mod session;
mod watch;

pub use self::cli::main;
pub use self::fetch::{FetchError, FetchOptions, FetchedFile, fetch_outputs};
pub use self::output::{Output, status_cell, table};
pub use self::watch::{Pauses, watch_jobs};
