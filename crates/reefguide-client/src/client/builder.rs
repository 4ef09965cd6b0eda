//! Setting up a client.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reefguide_transport::{address, http_client};
use secrecy::SecretString;

use super::{Client, Inner};
use crate::clock::Clock;
use crate::error::ApiError;
use crate::http::Http;
use crate::session::{Credential, Session, TokenObserver};

/// Sets up a [`Client`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    endpoint: String,
    email: String,
    credential: Credential,
    timeout: Duration,
    user_agent: String,
    token_observer: Option<Arc<dyn TokenObserver>>,
}

impl ClientBuilder {
    /// How long a call may take unless [`timeout`](Self::timeout) says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    fn new(endpoint: String, email: String, credential: Credential) -> Self {
        Self {
            endpoint,
            email,
            credential,
            timeout: Self::DEFAULT_TIMEOUT,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).into(),
            token_observer: None,
        }
    }

    /// How long a call may take in total; 30 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The `User-Agent` of every request; this crate's name and version by default.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Is notified of each new access token; there is no observer by default.
    pub fn token_observer(mut self, observer: impl TokenObserver + 'static) -> Self {
        self.token_observer = Some(Arc::new(observer));
        self
    }

    /// Creates the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ApiError::Endpoint`] if the endpoint is not an [address](address::parse), and [`ApiError::Client`] if it is an
    /// `https` URL and this system has no certificates.
    pub fn build(self) -> Result<Client, ApiError> {
        let endpoint = address::parse(&self.endpoint).map_err(|error| ApiError::Endpoint {
            endpoint: address::shown(&self.endpoint),
            reason: error.to_string(),
        })?;
        let client = http_client::client(&endpoint, |client| {
            client
                .user_agent(&self.user_agent)
                .timeout(self.timeout)
                .connect_timeout(self.timeout.min(Duration::from_secs(10)))
                // The server closes idle connections after 5 s; a connection that is reused at that moment is reset
                // (API contract, "Transport").
                .pool_idle_timeout(Duration::from_secs(4))
        });
        let client = client.map_err(|source| ApiError::Client {
            endpoint: endpoint.clone(),
            source,
        })?;
        Ok(Client {
            inner: Arc::new(Inner {
                http: Http {
                    client,
                    endpoint,
                    clock: Clock::default(),
                },
                session: Session::new(self.email, self.credential, self.token_observer),
                skipped: Mutex::default(),
            }),
        })
    }
}

impl Client {
    /// Sets up a client of the API at `endpoint` (without `/api`) for one account.
    ///
    /// ```
    /// use reefguide_client::Client;
    ///
    /// let client = Client::builder("http://localhost:5000", "worker@email.com", "password").build()?;
    /// # Ok::<(), reefguide_client::ApiError>(())
    /// ```
    pub fn builder(
        endpoint: impl Into<String>,
        email: impl Into<String>,
        password: impl Into<SecretString>,
    ) -> ClientBuilder {
        let credential = Credential::Password(password.into());
        ClientBuilder::new(endpoint.into(), email.into(), credential)
    }

    /// Sets up a client that resumes an earlier login; see [`log_in`](Self::log_in). It works until the refresh token
    /// expires, 48 hours after the login by default.
    pub fn resume(
        endpoint: impl Into<String>,
        email: impl Into<String>,
        refresh_token: impl Into<SecretString>,
    ) -> ClientBuilder {
        let credential = Credential::RefreshToken(refresh_token.into());
        ClientBuilder::new(endpoint.into(), email.into(), credential)
    }
}
