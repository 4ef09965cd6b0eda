//! What an error says about a failure.

use std::error::Error;
use std::time::Instant;

use reefguide_storage::{RequestTries, StorageError};
use secrecy::ExposeSecret;

use crate::fixture::Fixture;

/// Makes `work` fail and checks that its error names the action and the place, as in `cannot read s3://…: `,
/// what went wrong, and how often and how long that was tried, but no secret.
pub(crate) fn expect_failure<T>(
    fixture: &Fixture,
    (action, key): (&str, &str),
    what: &str,
    tries: u32,
    work: impl FnOnce() -> Result<T, StorageError>,
) -> RequestTries {
    let since = Instant::now();
    let Err(error) = work() else {
        panic!("it did not fail");
    };
    let took = since.elapsed();
    let text = error.to_string();
    let named = format!("cannot {action} {}: ", fixture.uri(key));
    assert!(text.starts_with(&named) && text.contains(what), "{text}");
    let tried = error.tried().expect("a request failed").clone();
    assert!(text.contains(&format!("({tried})")), "{text}");
    assert_eq!(tried.tries, tries, "{text}");
    assert!(!tried.elapsed.is_zero() && tried.elapsed <= took, "{text}");

    let mut all = format!("{text} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        all += &format!(" {error} {error:?}");
        source = error.source();
    }
    let lower = all.to_lowercase();
    let secret_key = fixture.secret_key.expose_secret();
    for secret in [secret_key, "authorization", "x-amz-", "signature="] {
        assert!(
            !lower.contains(&secret.to_lowercase()),
            "{secret} is shown: {all}"
        );
    }
    tried
}
