//! An error with its sources on one line.

use std::error::Error;
use std::fmt;

/// Displays an error and its sources as `what: why: why that`.
///
/// ```
/// use reefguide_transport::Chain;
///
/// let error = std::io::Error::other("disk is full");
/// assert_eq!(Chain(&error).to_string(), "disk is full");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            // Some errors repeat their source in their own text.
            let text = error.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            next = error.source();
        }
        Ok(())
    }
}
