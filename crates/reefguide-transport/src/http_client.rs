//! HTTP clients: certificates, proxies, and no redirects.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use http::Uri;
use hyper_util::client::legacy;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::Chain;

/// An `https` address cannot be used, since this system trusts no certificate authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an https address needs certificates of certificate authorities, and this system has none ({reason}): \
     install the package `ca-certificates`, or name a file of certificates in SSL_CERT_FILE"
)]
pub struct NoCertificates {
    reason: String,
}

/// An error unless this system has certificates. Checks again at each call until it has some.
pub fn certificates() -> Result<(), NoCertificates> {
    static FOUND: OnceLock<()> = OnceLock::new();
    if FOUND.get().is_some() {
        return Ok(());
    }
    // Without settings, nothing else can be wrong with a client.
    Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| NoCertificates {
            reason: Chain(&error).to_string(),
        })?;
    let () = *FOUND.get_or_init(|| ());
    Ok(())
}

/// Why an HTTP client cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpClientError {
    /// The address uses `https`, and this system trusts no certificate authority.
    #[error(transparent)]
    Certificates(#[from] NoCertificates),
    /// Its settings are invalid.
    #[error("cannot create an HTTP client")]
    Settings(#[from] reqwest::Error),
}

/// A client for a server at `url`, with further settings from `set`. It needs certificates only if it may use `https`.
pub fn client(
    url: &str,
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, HttpClientError> {
    // A redirect leads to another server than the one that was configured, which must not get the request's secrets.
    let mut builder = Client::builder().redirect(Policy::none());
    if no_proxies() {
        builder = builder.no_proxy();
    }
    if needs_certificates(url) {
        certificates()?;
    } else {
        builder = builder.tls_certs_only([]);
    }
    Ok(set(builder).build()?)
}

/// Whether the connections to a server at `url`, or to the proxy for it, are encrypted.
pub fn needs_certificates(url: &str) -> bool {
    let secure = |url: &str| {
        let scheme = url.get(..6);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    };
    secure(url) || Proxy::of(url).is_some_and(|proxy| secure(&proxy.url))
}

/// Whether `NO_PROXY` contains `*`, which turns off all proxies. The libraries apply it to host names only, not to IP
/// addresses.
pub fn no_proxies() -> bool {
    let (_, hosts) = first_of(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    hosts.split(',').any(|host| host.trim() == "*")
}

/// The proxy for requests to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Without user and password.
    url: String,
    variable: &'static str,
}

impl Proxy {
    /// The proxy that the environment sets for a server at `url`; `None` if requests go there directly.
    pub fn of(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let own = match url.scheme_str() {
            Some("http") => ["HTTP_PROXY", "http_proxy"],
            Some("https") => ["HTTPS_PROXY", "https_proxy"],
            _ => return None,
        };
        let (variable, _) = first_of(own).or_else(|| first_of(["ALL_PROXY", "all_proxy"]))?;
        if no_proxies() {
            return None;
        }
        let proxy = Matcher::from_env().intercept(&url)?;
        let url = proxy.uri().to_string();
        Some(Self {
            url: url.trim_end_matches('/').to_owned(),
            variable,
        })
    }

    /// The proxy for a server at `url`, if `error` means that there was no connection.
    pub fn failed(url: &str, error: &(dyn Error + 'static)) -> Option<Self> {
        not_connected(error).then(|| Self::of(url)).flatten()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} ({})", self.url, self.variable)
    }
}

/// The first of these variables that is set, with its value; `None` if the value is empty.
fn first_of(names: [&'static str; 2]) -> Option<(&'static str, String)> {
    let set = |name| Some((name, std::env::var(name).ok()?));
    let first = names.into_iter().find_map(set);
    first.filter(|(_, value)| !value.is_empty())
}

fn not_connected(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let by_client = error.downcast_ref::<legacy::Error>();
        if by_client.is_some_and(legacy::Error::is_connect) {
            return true;
        }
        next = error.source();
    }
    false
}
