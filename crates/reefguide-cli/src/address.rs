//! Addresses as people give them, of which no password is shown or kept.

use url::Url;

/// Why an address cannot be used. A user name or password in it is not shown.
#[derive(Debug, thiserror::Error)]
#[error("{option} `{shown}` {problem}")]
pub(crate) struct AddressError {
    option: &'static str,
    shown: String,
    problem: String,
}

/// What hides a user name and password.
const HIDDEN: &str = "[hidden]@";

/// The API's address, without a slash at its end.
pub(crate) fn api(address: &str) -> Result<String, AddressError> {
    const OPTION: &str = "--api";
    let account = "--email names the account, and the password is asked for";
    let url = http(OPTION, address, account)?;
    match url.rsplit_once('/') {
        Some((base, last)) if last.eq_ignore_ascii_case("api") => Err(AddressError {
            option: OPTION,
            shown: url.clone(),
            problem: format!("has a path of the API itself: write {base}"),
        }),
        _ => Ok(url),
    }
}

/// The address of an S3 server, without a slash at its end.
pub(crate) fn s3(address: &str) -> Result<String, AddressError> {
    let keys = "MINIO_USERNAME and MINIO_PASSWORD have the keys";
    http("--s3-endpoint", address, keys)
}

fn http(option: &'static str, address: &str, instead: &str) -> Result<String, AddressError> {
    let address = address.trim();
    let wrong = |shown: &str, problem: String| AddressError {
        option,
        // Whatever it is: before the @ may be a password.
        shown: match shown.rsplit_once('@') {
            Some((_, host)) => format!("{HIDDEN}{host}"),
            None => shown.to_owned(),
        },
        problem,
    };
    let begins = |scheme: &str| {
        let begun = address.get(..scheme.len());
        begun.is_some_and(|begun| begun.eq_ignore_ascii_case(scheme))
    };
    if !begins("http://") && !begins("https://") {
        let problem = "is no address: it has to begin with https:// or http://";
        return Err(wrong(address, problem.to_owned()));
    }
    let mut url =
        Url::parse(address).map_err(|error| wrong(address, format!("is no address: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Only fails for URLs without a host.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        let problem = format!("would show a user name or password: write {url}; {instead}");
        return Err(wrong(address, problem));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let problem = "has something after its path: remove it".to_owned();
        return Err(wrong(address, problem));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A text with what stands before the `@` of the URLs in it hidden.
pub(crate) fn without_user(text: impl Into<String>) -> String {
    let mut shown = text.into();
    let mut from = 0;
    while let Some(begin) = shown[from..].find("://").map(|at| from + at + 3) {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let end = shown[begin..].find(ends);
        let end = end.map_or(shown.len(), |length| begin + length);
        from = begin;
        if let Some(at) = shown[begin..end].rfind('@') {
            shown.replace_range(begin..=begin + at, HIDDEN);
            from += HIDDEN.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_taken_or_refused_with_what_to_write() {
        let told: Vec<_> = [
            "https://reefguide.example.org",
            " HTTPS://reefguide.example.org/ ",
            "http://[::1]:5000/base//",
            "reefguide.example.org",
            "localhost:5000",
            "ftp://reefguide.example.org",
            "https://",
            "https://host:port",
            "https://host/API/",
            "https://host/base/api",
            "https://host/?page=1",
            "https://host/#top",
            "",
        ]
        .into_iter()
        .map(|address| match api(address) {
            Ok(url) => format!("{address:?} is {url}"),
            Err(error) => error.to_string(),
        })
        .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        for address in [
            "https://user:secret@host",
            "https://user:secret@host/api?a#b",
            "https://secret@host",
            "https://:secret@host",
            "https://user:sec/secret@host",
            "https://user:secret@host:port",
            "user:secret@host",
            "ftp://user:secret@host",
        ] {
            for refused in [api(address).unwrap_err(), s3(address).unwrap_err()] {
                assert!(!refused.to_string().contains("secret"), "{refused}");
            }
            let said = format!("error: invalid '{address}' and \"https://b:secret@c\"");
            if address.contains("://") {
                let shown = without_user(said);
                assert!(!shown.contains("secret"), "{shown}");
                assert!(shown.ends_with("and \"https://[hidden]@c\""), "{shown}");
            }
        }
        insta::assert_snapshot!(api("https://user:secret@host/").unwrap_err(), @"--api `[hidden]@host/` would show a user name or password: write https://host/; --email names the account, and the password is asked for");
    }

    proptest! {
        #[test]
        fn what_has_no_url_with_a_user_stays_as_it_is(text in "(\\PC| |://|[a-z])*") {
            prop_assume!(!text.contains('@'));
            prop_assert_eq!(without_user(text.clone()), text);
        }
    }
}
