//! Access tokens (RS256 JWTs) and the format of refresh tokens.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64_URL};
use serde::{Deserialize, Serialize};

use crate::account::{self, Account};

/// Signs and verifies a lab's access tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: &'static KeyPair,
    issuer: String,
    life: Duration,
    /// Part of every token's key id: incrementing it expires all tokens issued before.
    generation: AtomicU64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
struct JwtClaims {
    id: i64,
    email: String,
    roles: Vec<String>,
    iat: i64,
    exp: i64,
    iss: String,
}

/// The signing key of this process. Creating one takes a quarter of a second in a debug build, so labs share it.
fn signing_key() -> Result<&'static KeyPair, Unspecified> {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let fresh = KeyPair::generate(KeySize::Rsa2048)?;
    Ok(KEY.get_or_init(|| fresh))
}

impl Tokens {
    /// Tokens of `issuer` that are valid for `life`, in whole seconds. The first call in a process is slow.
    pub(crate) fn new(issuer: String, life: Duration) -> Result<Self, Unspecified> {
        Ok(Self {
            key: signing_key()?,
            issuer,
            life,
            generation: AtomicU64::new(1),
        })
    }

    pub(crate) fn issue(&self, account: &Account) -> Result<String, Unspecified> {
        let issued = jiff::Timestamp::now().as_second();
        let header = Header {
            alg: "RS256".into(),
            typ: "JWT".into(),
            kid: self.key_id(),
        };
        let claims = JwtClaims {
            id: account.id,
            email: account.email.into(),
            roles: vec![account.role.name().into()],
            iat: issued,
            exp: issued.saturating_add_unsigned(self.life.as_secs()),
            iss: self.issuer.clone(),
        };
        let signed = format!("{}.{}", encode(&header)?, encode(&claims)?);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )?;
        Ok(format!("{signed}.{}", BASE64_URL.encode(signature)))
    }

    /// The account of a valid token, or `None` if the token is malformed, forged or expired.
    pub(crate) fn verify(&self, token: &str) -> Option<&'static Account> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let key =
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key().as_ref());
        key.verify(signed.as_bytes(), &BASE64_URL.decode(signature).ok()?)
            .ok()?;
        let header: Header = decode(header)?;
        let claims: JwtClaims = decode(claims)?;
        let live = header.kid == self.key_id()
            && claims.iss == self.issuer
            && claims.exp > jiff::Timestamp::now().as_second();
        live.then(|| account::by_id(claims.id)).flatten()
    }

    /// Expires every access token issued so far. Refresh tokens stay valid.
    pub(crate) fn expire_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn key_id(&self) -> String {
        format!("lab-{}", self.generation.load(Ordering::SeqCst))
    }
}

fn encode(part: &impl Serialize) -> Result<String, Unspecified> {
    Ok(BASE64_URL.encode(serde_json::to_vec(part).map_err(|_| Unspecified)?))
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL.decode(part).ok()?).ok()
}

/// The content of a refresh token, which is its JSON in base64.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    pub(crate) id: i64,
    pub(crate) token: String,
}

/// Why a refresh token is invalid, in the real server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefreshTokenError {
    #[error("Invalid JSON in refresh token")]
    Json,
    #[error("Invalid refresh token format")]
    Format,
}

impl RefreshToken {
    pub(crate) fn encode(&self) -> String {
        BASE64_STANDARD
            .encode(serde_json::json!({ "id": self.id, "token": self.token }).to_string())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, RefreshTokenError> {
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|_| RefreshTokenError::Json)?;
        let json: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|_| RefreshTokenError::Json)?;
        serde_json::from_value(json).map_err(|_| RefreshTokenError::Format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(life: Duration) -> Tokens {
        Tokens::new("http://lab".into(), life).unwrap()
    }

    #[test]
    fn a_token_is_valid_for_its_account_until_all_are_expired() {
        let tokens = tokens(Duration::from_secs(600));
        let old = tokens.issue(&account::WORKER).unwrap();
        assert_eq!(tokens.verify(&old).unwrap().email, "worker@email.com");
        tokens.expire_all();
        assert!(tokens.verify(&old).is_none());
        assert!(
            tokens
                .verify(&tokens.issue(&account::WORKER).unwrap())
                .is_some()
        );
    }

    #[test]
    fn an_expired_or_forged_token_is_refused() {
        assert!({
            let tokens = tokens(Duration::ZERO);
            tokens
                .verify(&tokens.issue(&account::WORKER).unwrap())
                .is_none()
        });
        let tokens = tokens(Duration::from_secs(600));
        let token = tokens.issue(&account::WORKER).unwrap();
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[1] = BASE64_URL.encode(
            BASE64_URL
                .decode(&parts[1])
                .unwrap()
                .escape_ascii()
                .to_string()
                .replace("ADMIN", "OTHER"),
        );
        assert!(tokens.verify(&parts.join(".")).is_none());
        assert!(tokens.verify("garbage").is_none());
    }

    #[test]
    fn an_invalid_refresh_token_is_refused_with_the_reason() {
        assert_eq!(
            RefreshToken::decode("zzz").unwrap_err(),
            RefreshTokenError::Json
        );
        let other = BASE64_STANDARD.encode(r#"{"id":"one"}"#);
        assert_eq!(
            RefreshToken::decode(&other).unwrap_err(),
            RefreshTokenError::Format
        );
        let token = RefreshToken {
            id: 7,
            token: "abc".into(),
        }
        .encode();
        assert_eq!(RefreshToken::decode(&token).unwrap().id, 7);
    }
}
