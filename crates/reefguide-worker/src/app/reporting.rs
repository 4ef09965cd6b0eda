//! What a worker tells others besides log lines: traces, failures and panics. What is not built in is not
//! there.

use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::config::Config;
#[cfg(feature = "otel")]
use super::otel::{TraceOptions, Traces, TracesError};
#[cfg(feature = "sentry")]
use super::sentry::{Sentry, SentryError, SentryOptions};

/// What this worker is called towards others.
#[cfg_attr(
    not(any(feature = "otel", feature = "sentry")),
    expect(dead_code, reason = "there are no others")
)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

/// Where to it reports.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    #[cfg(feature = "otel")]
    traces: Option<Traces>,
    #[cfg(feature = "sentry")]
    sentry: Option<Sentry>,
}

/// Why it cannot.
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
    /// Begins to export traces, if there is somebody to take them.
    pub(super) fn traces(config: &Config, service: &Service) -> Result<Self, ReportingError> {
        #[cfg(feature = "otel")]
        {
            let options =
                TraceOptions::configured(config, &service.name, service.version.as_deref());
            Ok(Self {
                traces: options.map(Traces::start).transpose()?,
                ..Self::default()
            })
        }
        #[cfg(not(feature = "otel"))]
        {
            let _ = (config, service);
            Ok(Self::default())
        }
    }

    /// Begins to export traces and to report failures, each if there is somebody to take them.
    pub(super) fn all(config: &Config, service: &Service) -> Result<Self, ReportingError> {
        let reporting = Self::traces(config, service)?;
        #[cfg(feature = "sentry")]
        if let Some(dsn) = &config.sentry_dsn {
            let Service { name, version } = service;
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

    /// What takes spans and events to them.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let layers: Vec<Box<dyn Layer<S> + Send + Sync>> = vec![
            #[cfg(feature = "otel")]
            self.traces.as_ref().map(Traces::layer).boxed(),
            #[cfg(feature = "sentry")]
            self.sentry.as_ref().map(Sentry::layer).boxed(),
        ];
        // None at all would want to hear of nothing, and nobody else would.
        (!layers.is_empty()).then_some(layers)
    }

    /// Logs what is reported, and what is not although the configuration asks for it.
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

    /// Sends what waits to be sent, for `limit` at most.
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
