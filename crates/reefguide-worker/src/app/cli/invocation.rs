//! One start of the program: its handlers, its settings, and what is made from them.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::command_error::CommandError;
use super::files::Files;
use crate::Chain;
use crate::app::Exit;
use crate::app::config::{ApiAccount, Config, ConfigError, ConfigSources};
use crate::app::platform::process_memory;
use crate::app::reporting::{ProgramInfo, Reporting};
use crate::app::signals::{self, Signals};
use crate::app::telemetry::TelemetryOptions;
use crate::handler::{Extensions, Registry};
use crate::job::JobType;
use crate::log_queue;
use crate::runtime::JobLogs;
use crate::source::reefguide::{ApiError, Client, ClientBuilder};
use crate::storage::{S3Options, Storage};

/// The handlers, and where settings come from.
pub(super) struct Invocation {
    pub(super) handlers: Registry,
    pub(super) files: Files,
    pub(super) program: ProgramInfo,
}

impl Invocation {
    fn sources(&self) -> ConfigSources {
        ConfigSources {
            toml: Some(self.files.config.clone()),
            env_file: Some(self.files.env_file.clone()),
            ..ConfigSources::standard()
        }
    }

    /// The configuration for commands that use the API, and its account.
    pub(super) fn load(&self) -> Result<(Config, ApiAccount), ConfigError> {
        let config = Config::load(&self.sources(), &self.handled())?;
        let account = config.api_account()?;
        Ok((config, account))
    }

    /// The configuration for commands that can do without the API.
    pub(super) fn load_without_api(&self) -> Result<Config, ConfigError> {
        Config::load_without_api(&self.sources(), &self.handled())
    }

    /// The extensions for handlers: those of the author, the configuration, and a client if there is an API.
    pub(super) fn extensions(&self, config: &Config) -> Extensions {
        let mut extensions = self.handlers.extensions.clone();
        match config.api_account().map(|account| client(config, &account)) {
            Ok(Ok(client)) => extensions.supply(client),
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "handlers get no client of the API");
            }
            // Nothing to warn of: the command needs no API.
            Err(_) => {}
        }
        extensions.supply(config.clone());
        extensions
    }

    fn handled(&self) -> Vec<&str> {
        self.handlers.job_types().map(JobType::as_str).collect()
    }

    pub(super) fn unhandled(&self, job_type: &str) -> CommandError {
        let message = format!(
            "no handler for job type {job_type}; there are: {}",
            self.handled().join(", ")
        );
        CommandError::new(Exit::Usage, message)
    }
}

/// Lets the first signal end the process until there is something to stop. Without this, no signal would end the first
/// process of a container.
pub(super) fn listen() -> Result<Signals, CommandError> {
    signals::listen()
        .map_err(|error| CommandError::new(Exit::Internal, format!("watching signals: {error}")))
}

pub(super) fn start_logging(
    config: &Config,
    program: &ProgramInfo,
) -> Result<Reporting, CommandError> {
    let reporting = Reporting::all(config, program)?;
    let terminal = std::io::stderr().is_terminal();
    let options = telemetry_options(config);
    reporting.init(&options, log_queue::stderr, terminal)?;
    reporting.announce(config);
    if !process_memory::is_protected() {
        tracing::warn!(
            "programs of handlers can read this process's environment, with its secrets"
        );
    }
    warn(config);
    Ok(reporting)
}

/// Logs what may be wrong in the configuration.
pub(super) fn warn(config: &Config) {
    for found in config.warnings() {
        tracing::warn!(
            setting = found.subject,
            found = found.found,
            remedy = found.help,
            "setting looks wrong"
        );
    }
}

pub(super) fn telemetry_options(config: &Config) -> TelemetryOptions {
    TelemetryOptions {
        format: config.log_format,
        filter: config.log_filter().to_owned(),
        job_logs: config.job_logs != JobLogs::Off,
    }
}

pub(super) fn client(config: &Config, account: &ApiAccount) -> Result<Client, ApiError> {
    client_builder(config, account).build()
}

pub(super) fn client_builder(config: &Config, account: &ApiAccount) -> ClientBuilder {
    Client::builder(
        &account.endpoint,
        &account.username,
        account.password.clone(),
    )
    .timeout(config.api_timeout)
    .user_agent(concat!(
        env!("CARGO_PKG_NAME"),
        "/",
        env!("CARGO_PKG_VERSION")
    ))
}

pub(super) fn storage(config: &Config) -> Storage {
    let options = S3Options::default()
        .with_endpoint(config.s3_endpoint.clone())
        .with_region(config.aws_region.clone())
        .with_credentials(config.s3_credentials())
        .with_encryption(config.s3_encryption())
        .with_storage_class(config.s3_storage_class);
    Storage::s3(options)
}

/// A folder in place of S3, if there is one.
pub(super) fn storage_in(folder: Option<PathBuf>, config: &Config) -> Storage {
    match folder {
        Some(folder) => Storage::folder(folder),
        None => storage(config),
    }
}
