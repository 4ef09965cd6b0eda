//! What is known about a variable besides its value.

use std::fmt;

/// A variable that configures the worker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name in the environment and in `.env`.
    pub name: &'static str,
    /// What holds when it is unset.
    pub when_unset: WhenUnset,
    /// What it is for.
    pub description: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    pub(super) needs: fn() -> String,
}

impl Variable {
    /// What its value needs to be, as a noun phrase.
    pub fn needs(&self) -> String {
        (self.needs)()
    }

    /// Its name in `worker.toml`: the same in lower case.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// What holds when a variable is unset. Its text fits the column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenUnset {
    /// The worker does not start.
    Required,
    /// This value.
    Value(&'static str),
    /// Something that is no single value, in words.
    Means(&'static str),
}

impl fmt::Display for WhenUnset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Required => "required",
            Self::Value(text) | Self::Means(text) => text,
        })
    }
}
