//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// Every problem of a configuration.
///
/// The text counts the problems in one line and describes each in three: what was found and where, what was expected,
/// and what to do. It contains no values of secret variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems, files first, then variables in the order of [`super::Config::variables`].
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "1 problem in the configuration")?,
            count => write!(f, "{count} problems in the configuration")?,
        }
        for problem in &self.problems {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The variable, or a file that could not be read.
    pub subject: String,
    /// What was found, to be read after the subject: ``is "fast" (environment)``.
    pub found: String,
    /// What the subject must be.
    pub expected: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} {}", self.subject, self.found)?;
        writeln!(f, "    expected: {}", self.expected)?;
        write!(f, "    help:     {}", self.help)
    }
}
