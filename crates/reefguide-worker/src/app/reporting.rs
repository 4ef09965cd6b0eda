//! What a worker reports elsewhere, besides its log lines: traces, failures and panics. Each needs its feature.

use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::config::Config;
#[cfg(feature = "otel")]
use super::otel::{TraceOptions, Traces, TracesError};
#[cfg(feature = "sentry")]
use super::sentry::{Sentry, SentryError, SentryOptions};
use super::telemetry::{self, TelemetryError, TelemetryOptions};

/// The worker's program, as reports name it.
#[cfg_attr(
    not(any(feature = "otel", feature = "sentry")),
    expect(dead_code, reason = "nothing is reported without these features")
)]
pub(super) struct ProgramInfo {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

/// The exports that are running.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    #[cfg(feature = "otel")]
    traces: Option<Traces>,
    #[cfg(feature = "sentry")]
    sentry: Option<Sentry>,
}

/// Why an export cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportingError {
    #[cfg(feature = "otel")]
    #[error(transparent)]
    Traces(#[from] TracesError),
    #[cfg(feature = "sentry")]
    #[error(transparent)]
    Sentry(#[from] SentryError),
}

impl Reporting {
    /// Starts to export traces, if the configuration names a collector.
    pub(super) fn traces(config: &Config, program: &ProgramInfo) -> Result<Self, ReportingError> {
        #[cfg(feature = "otel")]
        {
            let options =
                TraceOptions::configured(config, &program.name, program.version.as_deref());
            Ok(Self {
                traces: options.map(Traces::start).transpose()?,
                ..Self::default()
            })
        }
        #[cfg(not(feature = "otel"))]
        {
            let _ = (config, program);
            Ok(Self::default())
        }
    }

    /// Starts to export traces and to report failures, each if the configuration names an address for it.
    pub(super) fn all(config: &Config, program: &ProgramInfo) -> Result<Self, ReportingError> {
        let reporting = Self::traces(config, program)?;
        #[cfg(feature = "sentry")]
        if let Some(dsn) = &config.sentry_dsn {
            let ProgramInfo { name, version } = program;
            let options = SentryOptions {
                dsn: dsn.clone(),
                release: version.as_ref().map(|version| format!("{name}@{version}")),
                environment: config.sentry_environment.clone(),
            };
            return Ok(Self {
                sentry: Some(Sentry::start(&options)?),
                ..reporting
            });
        }
        Ok(reporting)
    }

    /// Sets up logging for the whole process, with these exports; see [`telemetry::subscriber`].
    pub(super) fn init<W>(
        &self,
        options: &TelemetryOptions,
        writer: W,
        terminal: bool,
    ) -> Result<(), TelemetryError>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let subscriber = telemetry::subscriber(options, writer, terminal)?;
        telemetry::install(subscriber.with(self.layer()))
    }

    /// Passes spans and events to the exports.
    fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let layers: Vec<Box<dyn Layer<S> + Send + Sync>> = vec![
            #[cfg(feature = "otel")]
            self.traces.as_ref().map(Traces::layer).boxed(),
            #[cfg(feature = "sentry")]
            self.sentry.as_ref().map(Sentry::layer).boxed(),
        ];
        // An empty list of layers would disable every event, for the other layers too.
        (!layers.is_empty()).then_some(layers)
    }

    /// Logs which exports run, and which do not although the configuration asks for them.
    pub(super) fn announce(&self, config: &Config) {
        if let Some(endpoint) = config.traces_endpoint() {
            if cfg!(feature = "otel") {
                tracing::info!(endpoint, "exporting traces");
            } else {
                tracing::warn!(
                    endpoint,
                    "no traces are exported: this worker was built without the feature otel"
                );
            }
        }
        if config.sentry_dsn.is_some() {
            if cfg!(feature = "sentry") {
                let environment = &config.sentry_environment;
                tracing::info!(environment, "reporting failures to Sentry");
            } else {
                tracing::warn!(
                    "SENTRY_DSN is set, but this worker was built without the feature sentry"
                );
            }
        }
    }

    /// Sends what is waiting to be sent, for at most `limit`.
    pub(super) async fn flush(self, limit: Duration) {
        #[cfg(feature = "otel")]
        let traces = async {
            if let Some(traces) = self.traces {
                traces.flush(limit).await;
            }
        };
        #[cfg(not(feature = "otel"))]
        let traces = async {};
        #[cfg(feature = "sentry")]
        let failures = async {
            if let Some(sentry) = self.sentry {
                sentry.flush(limit).await;
            }
        };
        #[cfg(not(feature = "sentry"))]
        let failures = async {};
        let _ = limit;
        tokio::join!(traces, failures);
    }
}
