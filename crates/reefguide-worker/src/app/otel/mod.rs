//! Traces, exported to an OpenTelemetry collector by OTLP over HTTP (feature `otel`).

mod collector;
mod polls;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider};
use reqwest::header::HeaderMap;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use self::collector::Collector;
use self::polls::Polls;
use super::config::Config;

/// What is exported, and to where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TraceOptions {
    /// The whole address, such as `http://localhost:4318/v1/traces`.
    pub endpoint: String,
    /// Headers for the collector; none by default.
    pub headers: HeaderMap,
    /// Which traces are exported; by default all except those whose parent is not.
    pub sampler: Sampler,
    /// Attributes of this process for the collector, such as its `service.name`. If a name occurs twice, the last one
    /// counts.
    pub resource: Vec<(String, String)>,
}

/// Why no traces can be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// There is no HTTP client.
    #[error("no HTTP client for traces")]
    Client(#[source] reefguide_transport::http_client::HttpClientError),
    /// The exporter refuses its options.
    #[error("traces cannot be exported to {endpoint}")]
    Exporter {
        /// The address.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
}

impl TraceOptions {
    /// Exports all traces to the collector at `endpoint`, the whole address.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: HeaderMap::new(),
            sampler: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            resource: Vec::new(),
        }
    }

    /// Sets [`headers`](Self::headers).
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    /// Sets [`sampler`](Self::sampler).
    #[must_use]
    pub fn with_sampler(self, sampler: Sampler) -> Self {
        Self { sampler, ..self }
    }

    /// Sets [`resource`](Self::resource).
    #[must_use]
    pub fn with_resource(self, resource: Vec<(String, String)>) -> Self {
        Self { resource, ..self }
    }

    /// The configured options, for a program with this name and version; `None` without an endpoint.
    pub(super) fn configured(config: &Config, name: &str, version: Option<&str>) -> Option<Self> {
        let mut resource = vec![
            ("service.name".into(), name.into()),
            ("service.instance.id".into(), instance(config)),
        ];
        resource.extend(version.map(|version| ("service.version".into(), version.into())));
        resource.extend(config.otel_resource_attributes.clone().unwrap_or_default());
        let name = config.otel_service_name.clone();
        resource.extend(name.map(|name| ("service.name".into(), name)));
        Some(Self {
            endpoint: config.traces_endpoint()?,
            headers: config
                .otel_exporter_otlp_headers
                .clone()
                .unwrap_or_default(),
            sampler: sampler(&config.otel_traces_sampler, config.otel_traces_sampler_arg),
            resource,
        })
    }
}

/// Identifies this process: on ECS by the container's id, the end of its metadata address.
fn instance(config: &Config) -> String {
    let metadata = config.ecs_container_metadata_uri.as_deref();
    let container = metadata.and_then(|uri| uri.rsplit('/').next());
    container.map_or_else(|| uuid::Uuid::new_v4().to_string(), Into::into)
}

fn sampler(name: &str, ratio: f64) -> Sampler {
    match name.strip_prefix("parentbased_") {
        Some(root) => Sampler::ParentBased(Box::new(sampler(root, ratio))),
        None => match name {
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio),
            _ => Sampler::AlwaysOn,
        },
    }
}

/// An export of traces, in batches, on a separate thread.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts the export; nothing is sent yet. Call it inside a tokio runtime.
    ///
    /// At most 2,048 spans wait to be sent. Further ones are dropped, and so are those that the collector does not
    /// accept within 10 s. The log says when that begins and when it ends.
    ///
    /// # Errors
    /// If the HTTP client or the exporter cannot be made.
    pub fn start(options: TraceOptions) -> Result<Self, TracesError> {
        let TraceOptions {
            endpoint,
            headers,
            sampler,
            resource,
        } = options;
        let collector = Collector::new(&endpoint, headers).map_err(TracesError::Client)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&endpoint)
            .build()
            .map_err(|source| TracesError::Exporter { endpoint, source })?;
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(
                resource
                    .into_iter()
                    .map(|(name, value)| KeyValue::new(name, value)),
            )
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(sampler)
            .with_span_processor(Polls::new(BatchSpanProcessor::builder(exporter).build()))
            .build();
        Ok(Self { provider })
    }

    /// Passes spans, and the warnings and errors in them, to the export, independently of what is logged: this library's
    /// own from the level `DEBUG`, all others from `INFO`.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.provider.tracer(env!("CARGO_PKG_NAME"));
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_traced).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what is waiting to be sent, for at most `limit`, and ends the export.
    pub async fn flush(self, limit: Duration) {
        let flushing = tokio::task::spawn_blocking(move || {
            if let Err(error) = self.provider.shutdown_with_timeout(limit) {
                tracing::warn!(%error, "not all traces were exported");
            }
        });
        // The task itself has logged its error.
        let _ = flushing.await;
    }
}

fn is_traced(metadata: &Metadata<'_>) -> bool {
    if metadata.is_event() {
        return *metadata.level() <= Level::WARN;
    }
    let ours = metadata.target().starts_with("reefguide_");
    *metadata.level() <= if ours { Level::DEBUG } else { Level::INFO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_have_the_names_of_the_specification() {
        let shown = |name| format!("{:?}", sampler(name, 0.25));
        for (name, sampler) in [
            ("always_on", "AlwaysOn"),
            ("always_off", "AlwaysOff"),
            ("traceidratio", "TraceIdRatioBased(0.25)"),
            ("parentbased_always_on", "ParentBased(AlwaysOn)"),
            ("parentbased_always_off", "ParentBased(AlwaysOff)"),
            (
                "parentbased_traceidratio",
                "ParentBased(TraceIdRatioBased(0.25))",
            ),
        ] {
            assert_eq!(shown(name), sampler);
        }
    }
}
