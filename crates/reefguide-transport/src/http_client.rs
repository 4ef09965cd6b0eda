//! What all clients of HTTP servers have in common: certificates, proxies, and that no redirect is followed.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use http::Uri;
use hyper_util::client::legacy;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::Chain;

/// This system trusts no certificate authority, and an `https` address was to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an https address needs certificates of certificate authorities, and this system has none ({reason}): \
     install the package `ca-certificates`, or name a file of certificates in SSL_CERT_FILE"
)]
pub struct NoCertificates {
    reason: String,
}

/// An error unless this system has certificates. Looks again each time until there are some.
pub fn certificates() -> Result<(), NoCertificates> {
    static FOUND: OnceLock<()> = OnceLock::new();
    if FOUND.get().is_some() {
        return Ok(());
    }
    // Nothing else can go wrong with a client for which nothing is set.
    Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| NoCertificates {
            reason: Chain(&error).to_string(),
        })?;
    let () = *FOUND.get_or_init(|| ());
    Ok(())
}

/// Why there can be no HTTP client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpClientError {
    /// The server is to be reached by `https`, and this system trusts no certificates.
    #[error(transparent)]
    Certificates(#[from] NoCertificates),
    /// Its settings are refused.
    #[error("no HTTP client can be made")]
    Settings(#[from] reqwest::Error),
}

/// A client for a server at `url`, which is `set` further. It needs certificates only if it may have to use them.
pub fn client(
    url: &str,
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, HttpClientError> {
    // What a redirect leads to is not the server that was named, and may be told what only that one is to know.
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

/// Whether connections to a server at `url` are encrypted, its own or those to its proxy.
pub fn needs_certificates(url: &str) -> bool {
    let secure = |url: &str| {
        let scheme = url.get(..6);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    };
    secure(url) || Proxy::of(url).is_some_and(|proxy| secure(&proxy.url))
}

/// Whether `NO_PROXY` has a `*`: then no proxy is used at all. The libraries apply that to names of hosts only.
pub fn no_proxies() -> bool {
    let (_, hosts) = first_of(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    hosts.split(',').any(|host| host.trim() == "*")
}

/// The proxy that requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Without user and password.
    url: String,
    variable: &'static str,
}

impl Proxy {
    /// The proxy for a server at `url`, by the environment; `None` if requests go there directly.
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

    /// The proxy for a server at `url`, if `error` says that no connection was made.
    pub fn failed(url: &str, error: &(dyn Error + 'static)) -> Option<Self> {
        not_connected(error).then(|| Self::of(url)).flatten()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} ({})", self.url, self.variable)
    }
}

/// The first of these variables that is set, with its value, unless that is empty.
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
