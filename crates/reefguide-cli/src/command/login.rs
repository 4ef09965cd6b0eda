//! `login` and `logout`.

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use crate::error::CliError;
use crate::output::Output;
use crate::session::{self, Place};
use crate::{address, input};

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Address of the API, without `/api`.
    #[arg(long, value_name = "URL", env = "API_ENDPOINT", hide_env_values = true)]
    api: String,
    /// The account.
    #[arg(long, env = "REEFGUIDE_EMAIL")]
    email: String,
}

impl Login {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let missing = |option, variable| CliError::Missing { option, variable };
        let api = input::filled(Some(&self.api)).ok_or(missing("--api", "API_ENDPOINT"))?;
        let api = address::api(api)?;
        let email = input::filled(Some(&self.email));
        let email = email.ok_or(missing("--email", "REEFGUIDE_EMAIL"))?;
        // A question that is broken off would leave the file behind.
        drop(Place::prepare()?);
        let password = password(email)?;
        Place::prepare()?.log_in(&api, email, password).await?;
        let done = format!("logged in at {api} as {email}");
        let said = json!({ "api": api, "email": email });
        out.print(&said, |_| done.clone())
            .map_err(CliError::untold(&done))?;
        Ok(true)
    }
}

pub(super) fn log_out(out: Output) -> Result<bool, CliError> {
    session::log_out()?;
    const DONE: &str = "logged out";
    out.print(&json!({}), |_| DONE.to_owned())
        .map_err(CliError::untold(DONE))?;
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
