//! Addresses from users, whose passwords are neither shown nor saved.

use reefguide_transport::address::{AddressError, parse, shown, without_api};

/// Why the address in an option cannot be used. Parts that may be a password are not shown.
#[derive(Debug, thiserror::Error)]
#[error("{option} {shown} cannot be used: {reason}")]
pub(crate) struct BadAddress {
    option: &'static str,
    shown: String,
    reason: String,
}

/// Stands in for a user name and password.
const REDACTED: &str = "[redacted]@";

/// Parses the API's address and removes a trailing slash.
pub(crate) fn api(address: &str) -> Result<String, BadAddress> {
    const OPTION: &str = "--api";
    let account = "--email names the account, and the password is asked for";
    let url = http(OPTION, address, account)?;
    match without_api(&url) {
        Some(base) => Err(BadAddress {
            option: OPTION,
            shown: shown(address),
            reason: format!("write {base}, the command adds `/api` itself"),
        }),
        None => Ok(url),
    }
}

/// Parses the address of an S3 server and removes a trailing slash.
#[cfg(feature = "bucket")]
pub(crate) fn s3(address: &str) -> Result<String, BadAddress> {
    let keys = "MINIO_USERNAME and MINIO_PASSWORD have the keys";
    http("--s3-endpoint", address, keys)
}

fn http(option: &'static str, address: &str, instead: &str) -> Result<String, BadAddress> {
    parse(address).map_err(|error| BadAddress {
        option,
        shown: shown(address),
        reason: match error {
            AddressError::Credentials => format!("{error} ({instead})"),
            error => error.to_string(),
        },
    })
}

/// Hides everything before the `@` in each URL of a text.
pub(crate) fn redact(text: impl Into<String>) -> String {
    let mut shown = text.into();
    let mut from = 0;
    while let Some(begin) = shown[from..].find("://").map(|at| from + at + 3) {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let end = shown[begin..].find(ends);
        let end = end.map_or(shown.len(), |length| begin + length);
        from = begin;
        if let Some(at) = shown[begin..end].rfind('@') {
            shown.replace_range(begin..=begin + at, REDACTED);
            from += REDACTED.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_the_remedy() {
        let errors: Vec<_> = ["reef:5000", "https://reef/API/", "https://me:secret@reef"]
            .map(|address| api(address).unwrap_err().to_string())
            .into_iter()
            .chain([s3("https://me:secret@reef").unwrap_err().to_string()])
            .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn a_user_in_a_url_is_hidden_anywhere_in_a_text() {
        for url in [
            "https://user:secret@host",
            "https://secret@host:port/path",
            "ftp://user:sec/secret@host",
        ] {
            let text = format!("error: invalid '{url}' and \"https://b:secret@c\"");
            let shown = redact(text);
            assert!(!shown.contains("secret"), "{shown}");
            assert!(shown.ends_with("and \"https://[redacted]@c\""), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_credentials_is_not_changed(text in "(\\PC| |://|[a-z])*") {
            prop_assume!(!text.contains('@'));
            prop_assert_eq!(redact(text.clone()), text);
        }
    }
}
