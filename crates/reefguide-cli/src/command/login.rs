//! `login` and `logout`.

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use crate::error::CliError;
use crate::output::Output;
use crate::session::{self, SessionFile};
use crate::{address, input};

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The API's address, without `/api`.
    #[arg(long, value_name = "URL", env = "API_ENDPOINT", hide_env_values = true)]
    api: String,
    /// The account's email address.
    #[arg(long, env = "REEFGUIDE_EMAIL")]
    email: String,
}

impl Login {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let missing = |option, variable| CliError::Missing { option, variable };
        let api = input::non_empty(Some(&self.api)).ok_or(missing("--api", "API_ENDPOINT"))?;
        let api = address::api(api)?;
        let email = input::non_empty(Some(&self.email));
        let email = email.ok_or(missing("--email", "REEFGUIDE_EMAIL"))?;
        // Dropped before the question: Ctrl-C there would leave the temporary file behind.
        drop(SessionFile::reserve()?);
        let password = password(email)?;
        SessionFile::reserve()?
            .log_in(&api, email, password)
            .await?;
        let done = format!("logged in at {api} as {email}");
        let account = json!({ "api": api, "email": email });
        out.print(&account, |_| done.clone())
            .map_err(CliError::unprinted(&done))?;
        Ok(true)
    }
}

pub(super) fn log_out(out: Output) -> Result<bool, CliError> {
    session::log_out()?;
    const DONE: &str = "logged out";
    out.print(&json!({}), |_| DONE.to_owned())
        .map_err(CliError::unprinted(DONE))?;
    Ok(true)
}

fn password(email: &str) -> Result<SecretString, CliError> {
    let given = std::env::var("REEFGUIDE_PASSWORD").ok();
    match given.filter(|password| !password.is_empty()) {
        Some(password) => Ok(password.into()),
        None => rpassword::prompt_password(format!("password of {email}: "))
            .map(SecretString::from)
            .map_err(CliError::Password),
    }
}
