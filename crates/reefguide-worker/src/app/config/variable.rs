//! The facts about a variable, apart from its value.

use std::fmt;

/// A variable that configures the worker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name in the environment and in `.env`.
    pub name: &'static str,
    /// What applies if it is unset.
    pub when_unset: WhenUnset,
    /// What it is for.
    pub description: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
    pub(super) expected: fn() -> String,
}

impl Variable {
    /// What its value must be, as a noun phrase.
    pub fn expected(&self) -> String {
        (self.expected)()
    }

    /// Its name in `worker.toml`: the same in lower case.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// What applies if a variable is unset. Its text fits the column of a table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum WhenUnset {
    /// The worker does not start. Commands that do not use the API run without it.
    Required,
    /// This value.
    Value(fn() -> String),
    /// Something that is not a single value, in words.
    Means(&'static str),
}

impl fmt::Display for WhenUnset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.pad("required"),
            Self::Value(value) => f.pad(&value()),
            Self::Means(text) => f.pad(text),
        }
    }
}
