//! How often and how long something was tried in vain.

use std::fmt;
use std::time::Duration;

/// How often and how long a request was tried that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tried {
    /// How often, the first time included. Content that broke off and was asked for again counts.
    pub attempts: u32,
    /// How long in all: to connect, to wait for answers, and to wait between attempts.
    pub elapsed: Duration,
    /// The server's own word for its last answer; the HTTP status if it gives none and the error does not name
    /// that. `None` without an answer.
    pub code: Option<Box<str>>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}, ")?;
        }
        match self.attempts {
            1 => f.write_str("1 attempt in ")?,
            attempts => write!(f, "{attempts} attempts in ")?,
        }
        match self.elapsed {
            short if short < Duration::from_secs(1) => write!(f, "{} ms", short.as_millis()),
            long => write!(f, "{:.1} s", long.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_told_in_a_few_words() {
        for (attempts, millis, code, told) in [
            (1, 12, None, "1 attempt in 12 ms"),
            (0, 0, None, "0 attempts in 0 ms"),
            (2, 999, Some("404"), "404, 2 attempts in 999 ms"),
            (4, 3217, Some("SlowDown"), "SlowDown, 4 attempts in 3.2 s"),
        ] {
            let tried = Tried {
                attempts,
                elapsed: Duration::from_millis(millis),
                code: code.map(Box::from),
            };
            assert_eq!(tried.to_string(), told);
        }
    }
}
