//! Reads addresses of servers from settings and options.

use reqwest::Url;

/// Why a text is not the address of a server. It does not contain the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL, or not an http or https URL.
    #[error("it is not an http or https URL")]
    Unusable,
    /// Such as `localhost:5000`.
    #[error("put http:// or https:// before it")]
    NoScheme,
    /// A user name or password before the host.
    #[error("remove the user name and password before its `@`: they have their own settings")]
    Credentials,
    /// A query or a fragment.
    #[error("remove what follows the path")]
    AfterPath,
}

impl AddressError {
    /// How to fix it, if that is known.
    pub fn remedy(self) -> Option<String> {
        match self {
            Self::Unusable => None,
            known => Some(known.to_string()),
        }
    }
}

/// Reads the address of a server: an `http` or `https` URL, optionally with a path. Removes slashes at its
/// end, so that you can append paths.
///
/// ```
/// use reefguide_transport::address::{self, AddressError};
///
/// assert_eq!(address::parse(" HTTPS://Reef.example.org/base/ ")?, "https://reef.example.org/base");
/// assert_eq!(address::parse("localhost:5000"), Err(AddressError::NoScheme));
/// # Ok::<(), AddressError>(())
/// ```
///
/// # Errors
/// Every variant of [`AddressError`].
pub fn parse(text: &str) -> Result<String, AddressError> {
    let text = text.trim();
    // Even in the path: a password may contain a `/`.
    let has_credentials = |url: &Url| {
        !url.username().is_empty() || url.password().is_some() || url.path().contains('@')
    };
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        _ if text.contains("//") => return Err(AddressError::Unusable),
        _ => {
            return Err(match Url::parse(&format!("http://{text}")) {
                Ok(url) if has_credentials(&url) => AddressError::Credentials,
                Ok(_) => AddressError::NoScheme,
                Err(_) => AddressError::Unusable,
            });
        }
    };
    if has_credentials(&url) {
        return Err(AddressError::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::AfterPath);
    }
    Ok(url.as_str().trim_end_matches('/').into())
}

/// An address from [`parse`] without the `/api` of the API's routes at its end; `None` if it has none.
pub fn without_api(address: &str) -> Option<&str> {
    let (base, last) = address.rsplit_once('/')?;
    // A host may have that name.
    let is_path = !base.ends_with('/');
    (is_path && last.eq_ignore_ascii_case("api")).then_some(base)
}

/// Quotes a text that may be an address, for messages. Redacts it if it may hold a password or a key, which are
/// before an `@`, or after a `?` or `#`.
pub fn shown(text: &str) -> String {
    let may_hold_secret = text.contains('@') || (text.contains("//") && text.contains(['?', '#']));
    match may_hold_secret {
        true => "[redacted]".into(),
        false => format!("{text:?}"),
    }
}
