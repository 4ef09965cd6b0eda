//! What the command can do.

mod fault;
mod up;

use std::error::Error;
use std::fmt;

use clap::Subcommand;

/// What the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a lab and show its requests until Ctrl-C
    Up(up::Up),
    /// Set a fault dial of a running lab
    Fault(fault::SetFault),
}

/// An error with everything that led to it, on one line.
pub(crate) struct Lines<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
