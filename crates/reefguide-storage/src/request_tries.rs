//! How often and for how long a failed request was tried.

use std::fmt;
use std::time::Duration;

/// How often and for how long a failed request was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestTries {
    /// The number of tries, the first one included. Asking again for content that broke off counts as a try.
    pub tries: u32,
    /// The time of all tries together, with the pauses between them.
    pub elapsed: Duration,
    /// The server's error code of the last answer; the HTTP status if there is no code and the error does not show
    /// the status itself. `None` without an answer.
    pub code: Option<Box<str>>,
}

impl fmt::Display for RequestTries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}, ")?;
        }
        match self.tries {
            1 => f.write_str("1 try in ")?,
            tries => write!(f, "{tries} tries in ")?,
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
    fn tries_are_shown_with_code_count_and_time() {
        for (tries, millis, code, shown) in [
            (1, 12, None, "1 try in 12 ms"),
            (0, 0, None, "0 tries in 0 ms"),
            (2, 999, Some("404"), "404, 2 tries in 999 ms"),
            (4, 3217, Some("SlowDown"), "SlowDown, 4 tries in 3.2 s"),
        ] {
            let tried = RequestTries {
                tries,
                elapsed: Duration::from_millis(millis),
                code: code.map(Box::from),
            };
            assert_eq!(tried.to_string(), shown);
        }
    }
}
