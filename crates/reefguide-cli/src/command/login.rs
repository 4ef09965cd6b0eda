//! `login` and `logout`.

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use crate::error::CliError;
use crate::{output, session};

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Address of the API, without `/api`.
    #[arg(long, value_name = "URL", env = "API_ENDPOINT")]
    api: String,
    /// The account.
    #[arg(long, env = "REEFGUIDE_EMAIL")]
    email: String,
}

impl Login {
    pub(super) async fn run(self, json: bool) -> Result<bool, CliError> {
        let Self { api, email } = self;
        session::log_in(&api, &email, password(&email)?).await?;
        let said = json!({ "api": api, "email": email });
        output::print(json, &said, |_| format!("logged in at {api} as {email}"));
        Ok(true)
    }
}

pub(super) fn log_out(json: bool) -> Result<bool, CliError> {
    session::log_out()?;
    output::print(json, &json!({}), |_| "logged out".to_owned());
    Ok(true)
}

fn password(email: &str) -> Result<SecretString, CliError> {
    match std::env::var("REEFGUIDE_PASSWORD") {
        Ok(password) => Ok(password.into()),
        Err(_) => rpassword::prompt_password(format!("password of {email}: "))
            .map(SecretString::from)
            .map_err(CliError::Password),
    }
}
