//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// Every problem of a configuration.
///
/// Its text has one line that counts the problems and three for each: what was found and where, what
/// is needed, and the remedy. Values of secret variables are not in it.
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
    /// The variable, or the file when it could not be read at all.
    pub subject: String,
    /// What is the case, to be read after the subject: ``is "fast" (environment)``.
    pub found: String,
    /// What the subject needs to be.
    pub needs: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} {}", self.subject, self.found)?;
        writeln!(f, "    needs:  {}", self.needs)?;
        write!(f, "    remedy: {}", self.remedy)
    }
}
