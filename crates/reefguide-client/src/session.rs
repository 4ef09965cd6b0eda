//! Logging in and keeping the token fresh (API contract, "Authentication").
//!
//! Any number of tasks ask for a token, but only one at a time gets a new one. The others use the old token while it is
//! valid. If renewing fails, the tasks that waited for it fail with the same error, because each try may cost one of the
//! five logins that the API allows in 15 minutes.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio::time::Instant;

use crate::error::ApiError;
use crate::http::Http;
use reefguide_transport::Chain;

/// Is notified of each new access token.
pub trait TokenObserver: Debug + Send + Sync {
    /// There is a new token, which was requested at `since` and is valid until `end`.
    fn renewed(&self, since: Instant, end: Instant);
}

/// One account's tokens.
#[derive(Debug)]
pub(super) struct Session {
    email: String,
    /// `None` if the session ends with its refresh token.
    password: Option<SecretString>,
    current: Mutex<Option<Arc<Token>>>,
    /// Locked by the task that gets a new token; contains the last failure to do so.
    renewing: tokio::sync::Mutex<Option<FailedRenewal>>,
    observer: Option<Arc<dyn TokenObserver>>,
}

/// What an account authenticates with.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    Password(SecretString),
    RefreshToken(SecretString),
}

#[derive(Debug)]
struct FailedRenewal {
    at: Instant,
    error: Arc<ApiError>,
}

/// An access token and what is needed to replace it.
#[derive(Debug)]
pub(super) struct Token {
    access: SecretString,
    refresh: SecretString,
    /// `None` if the token cannot be decoded.
    life: Option<Life>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    /// When it is time to get a new token.
    renew: Instant,
    end: Instant,
}

impl Token {
    /// An expired token, which can only be replaced.
    fn expired(refresh: SecretString) -> Self {
        let now = Instant::now();
        Self {
            access: "".into(),
            refresh,
            life: Some(Life {
                renew: now,
                end: now,
            }),
        }
    }

    pub(super) fn access(&self) -> &str {
        self.access.expose_secret()
    }

    fn is_due(&self) -> bool {
        self.life.is_some_and(|life| Instant::now() >= life.renew)
    }

    fn has_expired(&self) -> bool {
        self.life.is_some_and(|life| Instant::now() >= life.end)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginAnswer {
    #[serde(deserialize_with = "token")]
    token: SecretString,
    #[serde(deserialize_with = "token")]
    refresh_token: SecretString,
}

#[derive(Deserialize)]
struct RefreshAnswer {
    #[serde(deserialize_with = "token")]
    token: SecretString,
}

/// A token that can be sent in a header.
fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    let token = String::deserialize(deserializer)?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(D::Error::custom("a token that cannot be sent"));
    }
    Ok(token.into())
}

impl Session {
    pub(super) fn new(
        email: String,
        credential: Credential,
        observer: Option<Arc<dyn TokenObserver>>,
    ) -> Self {
        let (password, token) = match credential {
            Credential::Password(password) => (Some(password), None),
            Credential::RefreshToken(refresh) => (None, Some(Arc::new(Token::expired(refresh)))),
        };
        Self {
            email,
            password,
            current: Mutex::new(token),
            renewing: tokio::sync::Mutex::default(),
            observer,
        }
    }

    pub(super) fn email(&self) -> &str {
        &self.email
    }

    /// A token to send: the current one, or a new one if that is due.
    pub(super) async fn token(&self, http: &Http) -> Result<Arc<Token>, ApiError> {
        match self.current() {
            Some(token) if !token.is_due() => Ok(token),
            Some(token) if !token.has_expired() => match self.renewing.try_lock() {
                // Another task is getting a new one, and this one is still valid.
                Err(_) => Ok(token),
                Ok(_renewing) => Ok(self
                    .renew(http, Some(&token))
                    .await
                    .unwrap_or_else(|error| {
                        tracing::warn!(error = %Chain(&error), "token not refreshed yet");
                        token
                    })),
            },
            expired => self.replace(http, expired).await,
        }
    }

    /// A token other than `refused`, which the API rejected.
    pub(super) async fn replace(
        &self,
        http: &Http,
        refused: Option<Arc<Token>>,
    ) -> Result<Arc<Token>, ApiError> {
        let asked = Instant::now();
        let mut failure = self.renewing.lock().await;
        if let Some(token) = self.current()
            && !refused
                .as_ref()
                .is_some_and(|refused| Arc::ptr_eq(refused, &token))
            && !token.has_expired()
        {
            return Ok(token);
        }
        if let Some(failure) = &*failure {
            let blocked = failure
                .error
                .retry_after()
                .is_some_and(|wait| asked < failure.at + wait);
            if blocked || failure.at > asked {
                return Err(ApiError::Login(failure.error.clone()));
            }
        }
        match self.renew(http, refused.as_deref()).await {
            Ok(token) => {
                *failure = None;
                Ok(token)
            }
            Err(error) => {
                let error = Arc::new(error);
                *failure = Some(FailedRenewal {
                    at: Instant::now(),
                    error: error.clone(),
                });
                Err(ApiError::Login(error))
            }
        }
    }

    /// Logs in, even if there is a token, and returns the refresh token.
    pub(super) async fn start(&self, http: &Http) -> Result<SecretString, ApiError> {
        let _renewing = self.renewing.lock().await;
        Ok(self.renew(http, None).await?.refresh.clone())
    }

    /// Gets a new token with the old one's refresh token, or by logging in. The caller holds the lock.
    async fn renew(&self, http: &Http, old: Option<&Token>) -> Result<Arc<Token>, ApiError> {
        let sent = Instant::now();
        let token = match old {
            Some(old) => match self.refresh(http, old).await {
                // Whether it has expired or was revoked, a login may still succeed.
                Err(error) if !error.is_retryable() => {
                    tracing::info!(email = self.email, error = %Chain(&error), "refresh token refused, logging in");
                    self.login(http).await?
                }
                refreshed => refreshed?,
            },
            None => self.login(http).await?,
        };
        let life = life(token.0.expose_secret(), sent);
        let token = Arc::new(Token {
            access: token.0,
            refresh: token.1,
            life,
        });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        if let (Some(observer), Some(life)) = (&self.observer, token.life) {
            observer.renewed(sent, life.end);
        }
        Ok(token)
    }

    async fn login(&self, http: &Http) -> Result<(SecretString, SecretString), ApiError> {
        let Some(password) = &self.password else {
            return Err(ApiError::Denied {
                call: "POST /auth/token".into(),
                email: self.email.clone(),
                message: "the session has ended, log in again".into(),
            });
        };
        let body = json!({ "email": self.email, "password": password.expose_secret() });
        let answer: LoginAnswer = http
            .post_for_token("/auth/login", &self.email, &body)
            .await?;
        tracing::debug!(email = self.email, "logged in");
        Ok((answer.token, answer.refresh_token))
    }

    async fn refresh(
        &self,
        http: &Http,
        old: &Token,
    ) -> Result<(SecretString, SecretString), ApiError> {
        let body = json!({ "refreshToken": old.refresh.expose_secret() });
        let answer: RefreshAnswer = http
            .post_for_token("/auth/token", &self.email, &body)
            .await?;
        tracing::debug!(email = self.email, "token refreshed");
        Ok((answer.token, old.refresh.clone()))
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How long a JWT is valid according to its claims, counted from when it was requested: the two clocks may differ, but
/// the duration does not depend on them. The last fifth is left for getting the next token.
fn life(jwt: &str, sent: Instant) -> Option<Life> {
    #[derive(Deserialize)]
    struct Claims {
        iat: u64,
        exp: u64,
    }
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    let life = Duration::from_secs(claims.exp.checked_sub(claims.iat)?);
    Some(Life {
        renew: sent.checked_add(life / 5 * 4)?,
        end: sent.checked_add(life)?,
    })
}
