//! The account for the API.

use secrecy::SecretString;

/// How to reach the job API, and as whom; from [`Config::api_account`](super::Config::api_account).
///
/// `Debug` does not show the password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiAccount {
    /// The API's address, without `/api`.
    pub endpoint: String,
    /// The account's e-mail address.
    pub username: String,
    /// The account's password.
    pub password: SecretString,
}
