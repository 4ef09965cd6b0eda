//! The API's calls, typed.

mod admin;
mod builder;
mod jobs;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

pub use self::builder::ClientBuilder;
pub use self::jobs::JobFilter;
use crate::answer::Answer;
use crate::error::ApiError;
use crate::http::{Http, encode, with_json};
use crate::job::JobType;
use crate::session::Session;
use crate::wire::Profile;

/// A client of the ReefGuide web API, for one account.
///
/// It logs in on its first call, refreshes its token before the token expires (in one task at a time, however many use
/// the client), and repeats a call once if the API rejects the token. It returns any other failure; whether to try
/// again is up to the caller, see [`ApiError::is_retryable`].
///
/// A clone is cheap and shares connections and token. Dropping a call never harms the client, but a call that changes
/// something may have done so by then.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Http,
    session: Session,
    /// The entries that the last poll for each type skipped.
    skipped: Mutex<BTreeMap<Option<JobType>, BTreeSet<String>>>,
}

#[derive(Deserialize)]
struct HealthAnswer {
    message: String,
}

#[derive(Deserialize)]
struct ProfileAnswer {
    user: Profile,
}

impl Client {
    /// Logs in and returns the refresh token, with which [`resume`](Self::resume) can continue the session later.
    /// Refreshing is not limited; logins are (five in 15 minutes for everyone behind an IP address).
    pub async fn log_in(&self) -> Result<SecretString, ApiError> {
        self.inner.session.start(&self.inner.http).await
    }

    /// The API's endpoint, without `/api`.
    pub fn endpoint(&self) -> &str {
        &self.inner.http.endpoint
    }

    /// The account's email address.
    pub fn email(&self) -> &str {
        self.inner.session.email()
    }

    /// How far this machine's clock is ahead of the API's, at least, according to the latest answer; `None` before the
    /// first one. When the difference first exceeds a minute in either direction, a warning is logged.
    pub fn clock_ahead(&self) -> Option<jiff::SignedDuration> {
        self.inner.http.clock.ahead()
    }

    /// Checks that the API answers; needs no account.
    pub async fn health(&self) -> Result<(), ApiError> {
        let http = &self.inner.http;
        let answer = http
            .send(http.request(Method::GET, "/"), "GET /", self.email())
            .await?
            .success()?;
        let health: HealthAnswer = answer.json()?;
        match health.message.as_str() {
            "API healthy." => Ok(()),
            _ => Err(answer.foreign("another greeting")),
        }
    }

    /// The account's id, email address and roles.
    pub async fn profile(&self) -> Result<Profile, ApiError> {
        let answer = self.get("GET /auth/profile", "/auth/profile", &[]).await?;
        Ok(answer.json::<ProfileAnswer>()?.user)
    }

    async fn get(
        &self,
        call: &str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Answer, ApiError> {
        self.authorized(call, || {
            self.inner.http.request(Method::GET, path).query(query)
        })
        .await
    }

    async fn post(&self, call: &str, path: &str, body: Option<&Value>) -> Result<Answer, ApiError> {
        let body = body.map(|body| encode(call, body)).transpose()?;
        self.authorized(call, || {
            let request = self.inner.http.request(Method::POST, path);
            match &body {
                Some(body) => with_json(request, body.clone()),
                None => request,
            }
        })
        .await
    }

    /// Sends a request with a token, and once more with a fresh one if the API rejects that token.
    async fn authorized(
        &self,
        call: &str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, ApiError> {
        let Inner { http, session, .. } = &*self.inner;
        let token = session.token(http).await?;
        let answer = http
            .send(request().bearer_auth(token.access()), call, self.email())
            .await?;
        match answer.success() {
            Err(ApiError::TokenRejected { .. }) => {
                let token = session.replace(http, Some(token)).await?;
                let request = request().bearer_auth(token.access());
                http.send(request, call, self.email()).await?.success()
            }
            answer => answer,
        }
    }
}

/// An id as the number that the API expects; it answers anything else with a 500.
fn number(number: Option<i64>, id: &impl fmt::Display) -> Result<i32, ApiError> {
    number
        .and_then(|number| i32::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| ApiError::ForeignId { id: id.to_string() })
}
