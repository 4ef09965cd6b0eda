//! One call of the program: its handlers, and where its settings come from.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::files::Files;
use super::problem::Problem;
use crate::Chain;
use crate::app::Exit;
use crate::app::config::{Config, ConfigError, ConfigSources};
use crate::app::process_memory;
use crate::app::reporting::{Reporting, Service};
use crate::app::signals::{self, Signals};
use crate::app::telemetry::{self, TelemetryOptions};
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
    pub(super) service: Service,
}

impl Invocation {
    pub(super) fn sources(&self) -> ConfigSources {
        ConfigSources {
            toml: Some(self.files.config.clone()),
            env_file: Some(self.files.env_file.clone()),
            ..ConfigSources::standard()
        }
    }

    pub(super) fn load(&self, sources: &ConfigSources) -> Result<Config, ConfigError> {
        Config::load(sources, &self.handled())
    }

    /// The configuration for commands that need no API; its account may be missing.
    pub(super) fn load_without_api(&self) -> Result<Config, ConfigError> {
        let sources = self.sources();
        self.load(&sources).or_else(|_| {
            let mut sources = sources;
            let unused = [
                ("API_ENDPOINT", "http://unused.invalid"),
                ("WORKER_USERNAME", "unused"),
                ("WORKER_PASSWORD", "unused"),
            ];
            sources
                .env
                .extend(unused.map(|(name, value)| (name.into(), value.into())));
            self.load(&sources)
        })
    }

    /// What handlers are given besides what the author gives them.
    pub(super) fn extensions(&self, config: &Config) -> Extensions {
        let mut extensions = self.handlers.extensions.clone();
        // Only a client that has an API: the configuration may be without.
        let with_api = self.load(&self.sources()).ok();
        match with_api.as_ref().map(client) {
            Some(Ok(client)) => extensions.supply(client),
            Some(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "handlers get no client of the API");
            }
            None => {}
        }
        extensions.supply(config.clone());
        extensions
    }

    pub(super) fn handled(&self) -> Vec<&str> {
        self.handlers.job_types().map(JobType::as_str).collect()
    }

    pub(super) fn unhandled(&self, job_type: &str) -> Problem {
        let message = format!(
            "no handler for job type {job_type}; there are: {}",
            self.handled().join(", ")
        );
        Problem::new(Exit::Usage, message)
    }
}

/// The first signal ends the process, until there is something to stop. Without this, none ends the first process of a
/// container.
pub(super) fn listen() -> Result<Signals, Problem> {
    signals::listen()
        .map_err(|error| Problem::new(Exit::Internal, format!("watching signals: {error}")))
}

pub(super) fn start_logging(config: &Config, service: &Service) -> Result<Reporting, Problem> {
    let reporting = Reporting::all(config, service)?;
    let terminal = std::io::stderr().is_terminal();
    let options = telemetry_options(config);
    telemetry::init_to(&options, log_queue::stderr, terminal, &reporting)?;
    reporting.announce(config);
    if !process_memory::is_protected() {
        tracing::warn!(
            "programs of handlers can read this process's environment, with its secrets"
        );
    }
    warn(config);
    Ok(reporting)
}

/// Logs what looks wrong in the configuration.
pub(super) fn warn(config: &Config) {
    for found in config.warnings() {
        tracing::warn!(
            setting = found.subject,
            found = found.found,
            remedy = found.remedy,
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

pub(super) fn client(config: &Config) -> Result<Client, ApiError> {
    client_builder(config).build()
}

pub(super) fn client_builder(config: &Config) -> ClientBuilder {
    Client::builder(
        &config.api_endpoint,
        &config.worker_username,
        config.worker_password.clone(),
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
