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

/// What is exported, and where to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TraceOptions {
    /// The whole address, such as `http://localhost:4318/v1/traces`.
    pub endpoint: String,
    /// Headers for the collector; none by default.
    pub headers: HeaderMap,
    /// Which traces are exported; by default all, but for those whose parent is not.
    pub sampler: Sampler,
    /// What the collector is told of this process, such as its `service.name`. Of equal names the last
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
        /// Where to.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
}

impl TraceOptions {
    /// Everything to the collector at `endpoint`, the whole address.
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

    /// As configured, for a program with this name and version; `None` without an endpoint.
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

/// Which process this is: on ECS the container, which its metadata address ends with.
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

/// An export of traces, in batches, by a thread of its own.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to export; nothing is sent yet. To be called inside of a tokio runtime.
    ///
    /// At most 2,048 spans wait to be sent, further ones are dropped; what the collector does not take
    /// within 10 s is, too. The log says so when it begins, and when it is over.
    ///
    /// # Errors
    /// If there can be no HTTP client, or no exporter.
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

    /// Takes spans, and the warnings and errors in them, to the export: this library's own from the level
    /// `DEBUG` on, all others from `INFO` on, whatever is logged.
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

    /// Sends what waits to be sent, for `limit` at most, and ends the export.
    pub async fn flush(self, limit: Duration) {
        let flushing = tokio::task::spawn_blocking(move || {
            if let Err(error) = self.provider.shutdown_with_timeout(limit) {
                tracing::warn!(%error, "not all traces were exported");
            }
        });
        // What it has to say it has said.
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
    fn samplers_are_called_what_the_specification_calls_them() {
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
