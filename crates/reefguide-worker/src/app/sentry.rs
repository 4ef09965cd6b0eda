//! Failures and panics, reported to Sentry (feature `sentry`).
//!
//! The worker reports all panics that it logs, and jobs that failed because of the handler, the worker, or a service
//! that they use. It does not report jobs whose payload does not fit the handler's input, or that a shutdown
//! interrupted. An event has the tags `job_id`, `job_type`, `assignment_id` and `cause`, and the message that is in the
//! log. It never has a payload or a log line of the handler.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use ::sentry::protocol::{Event as Report, Exception, Map};
use ::sentry::transports::{ReqwestHttpTransport, ReqwestHttpTransportOptions};
use ::sentry::types::{Dsn, ParseDsnError};
use ::sentry::{Client, ClientOptions, Transport, TransportFactory, TransportOptions};
use reefguide_transport::http_client::{self, HttpClientError};
use secrecy::{ExposeSecret, SecretString};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::config::DEPLOYMENT;
use crate::handler::Cause;

/// The time limit of one request to Sentry.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The address that reports go to, and what they say about this worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SentryOptions {
    /// The address of the project, with its key.
    pub dsn: SecretString,
    /// The program and its version, such as `reef-worker@1.2.0`; unknown by default.
    pub release: Option<String>,
    /// What Sentry calls the deployment; `production` by default.
    pub environment: String,
}

impl SentryOptions {
    /// Reports to the project with this DSN.
    pub fn new(dsn: impl Into<SecretString>) -> Self {
        Self {
            dsn: dsn.into(),
            release: None,
            environment: DEPLOYMENT.into(),
        }
    }

    /// Sets [`release`](Self::release).
    #[must_use]
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets [`environment`](Self::environment).
    #[must_use]
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = environment.into();
        self
    }
}

/// Why reports cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SentryError {
    /// The DSN is not valid.
    #[error("SENTRY_DSN is not valid: it must have the form https://key@sentry.example/7")]
    Dsn(#[source] ParseDsnError),
    /// There is no HTTP client.
    #[error("no HTTP client for Sentry")]
    Client(#[source] HttpClientError),
}

/// A connection to Sentry, which sends on a separate thread.
#[derive(Clone, Debug)]
pub struct Sentry {
    client: Arc<Client>,
}

impl Sentry {
    /// Connects; nothing is sent yet.
    ///
    /// # Errors
    /// If the DSN is not valid, or the HTTP client cannot be made.
    pub fn start(options: &SentryOptions) -> Result<Self, SentryError> {
        let dsn = options.dsn.expose_secret();
        let parsed: Dsn = dsn.parse().map_err(SentryError::Dsn)?;
        let endpoint = format!("{}://{}", parsed.scheme(), parsed.host());
        let client = http_client::client(&endpoint, |client| client.timeout(TIMEOUT));
        let client = client.map_err(SentryError::Client)?;
        let options = ClientOptions::new()
            .dsn(dsn)
            .maybe_release(options.release.clone())
            .environment(options.environment.clone())
            .default_integrations(false)
            .transport(Sending(client));
        Ok(Self::with_client(Arc::new(Client::with_options(options))))
    }

    /// Reports through an existing client.
    pub fn with_client(client: Arc<Client>) -> Self {
        Self { client }
    }

    /// Reports events of the log, independently of what is logged.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let client = self.client.clone();
        // This library's errors, and all spans: the job's span is found through those inside it.
        let concerns = |metadata: &Metadata<'_>| {
            let ours = metadata.target().starts_with("reefguide_");
            metadata.is_span() || (ours && *metadata.level() == tracing::Level::ERROR)
        };
        Reporter { client }.with_filter(filter_fn(concerns).with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what is waiting to be sent, for at most `limit`, and ends the connection.
    pub async fn flush(self, limit: Duration) {
        let flushing = tokio::task::spawn_blocking(move || {
            if !self.client.close(Some(limit)) {
                tracing::warn!("not everything was reported to Sentry");
            }
        });
        // The task itself has logged its warning.
        let _ = flushing.await;
    }
}

/// Makes the transport, with a client whose requests have a time limit.
struct Sending(reqwest::Client);

impl TransportFactory for Sending {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let options = ReqwestHttpTransportOptions::from(options).with_client(self.0.clone());
        let transport: ReqwestHttpTransport = options.build();
        Arc::new(transport)
    }
}

struct Reporter {
    client: Arc<Client>,
}

/// The facts about the job of a span.
#[derive(Default)]
struct OfJob {
    fields: Fields,
    /// Whether a panic in it was reported. The failure that follows is not reported again.
    panicked: bool,
}

impl<S> Layer<S> for Reporter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "job"
            && let Some(span) = context.span(id)
        {
            let mut job = OfJob::default();
            attributes.record(&mut job.fields);
            span.extensions_mut().insert(job);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(job) = span.extensions_mut().get_mut::<OfJob>()
        {
            values.record(&mut job.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let panic = fields.0.remove("panic");
        let cause = fields.0.get("cause").cloned();
        let is = |cause: Cause| fields.0.get("cause") == Some(&cause.to_string());
        if is(Cause::Payload) || is(Cause::Shutdown) || (panic.is_none() && cause.is_none()) {
            return;
        }
        let mut tags = Map::new();
        let scope = context.event_scope(event);
        for span in scope.into_iter().flat_map(Scope::from_root) {
            if let Some(job) = span.extensions_mut().get_mut::<OfJob>() {
                if is(Cause::Panic) && job.panicked {
                    return;
                }
                job.panicked |= panic.is_some();
                tags.extend(job.fields.0.clone());
            }
        }
        tags.extend(cause.map(|cause| ("cause".to_owned(), cause)));
        let (kind, value) = match panic {
            Some(message) => ("panic", Some(message)),
            None => (
                "JobFailed",
                fields
                    .0
                    .remove("reason")
                    .or_else(|| fields.0.remove("error")),
            ),
        };
        let report = Report {
            transaction: tags.get("job_type").cloned(),
            culprit: fields.0.remove("location"),
            exception: vec![Exception {
                ty: kind.into(),
                value,
                ..Exception::default()
            }]
            .into(),
            tags,
            ..Report::default()
        };
        self.client.capture_event(report, None);
    }
}

/// The fields of a span or an event, as strings.
#[derive(Default)]
struct Fields(Map<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0
            .insert(field.name().into(), fmt::format(format_args!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentry_core::test::TestTransport;
    use tracing::{Span, error, field, info_span};
    use tracing_subscriber::layer::SubscriberExt;

    /// What is reported while `work` runs: kind, message and tags.
    fn reported(work: impl FnOnce()) -> Vec<String> {
        let transport = TestTransport::new();
        let options = ClientOptions::new()
            .dsn("https://key@sentry.invalid/1")
            .transport(transport.clone());
        let sentry = Sentry::with_client(Arc::new(Client::with_options(options)));
        let subscriber = tracing_subscriber::registry().with(sentry.layer());
        tracing::subscriber::with_default(subscriber, work);
        let events = transport.fetch_and_clear_events().into_iter();
        let reports = events.map(|event| {
            let exception = &event.exception[0];
            let value = exception.value.as_deref().unwrap_or_default();
            format!("{} {value} {:?}", exception.ty, event.tags)
        });
        reports.collect()
    }

    fn job(id: u64) -> Span {
        let assignment_id = field::Empty;
        info_span!("job", job_id = %id, job_type = "REEF", assignment_id)
    }

    fn fails(cause: Cause) {
        error!(reason = "tide is out", %cause, "job failed");
    }

    #[test]
    fn a_failure_that_the_submitter_or_the_operator_caused_is_not_reported() {
        let reported = reported(|| {
            let job = job(7);
            job.record("assignment_id", field::display(12));
            for cause in [Cause::Payload, Cause::Shutdown, Cause::Deadline] {
                job.in_scope(|| fails(cause));
            }
            error!(error = "disk full", "the worker cannot do something");
        });
        insta::assert_snapshot!(reported.join("\n"), @r#"JobFailed tide is out {"assignment_id": "12", "cause": "deadline", "job_id": "7", "job_type": "REEF"}"#);
    }

    #[test]
    fn a_job_that_failed_because_of_a_panic_is_reported_unless_the_panic_was() {
        let reported = reported(|| {
            job(1).in_scope(|| {
                error!(panic = "no reef", location = "reef.rs:1:2", "panicked");
                fails(Cause::Panic);
            });
            error!(panic = "in a detached task", "panicked");
            job(2).in_scope(|| fails(Cause::Panic));
        });
        insta::assert_snapshot!(reported.join("\n"), @r#"
        panic no reef {"job_id": "1", "job_type": "REEF"}
        panic in a detached task {}
        JobFailed tide is out {"cause": "panic", "job_id": "2", "job_type": "REEF"}
        "#);
    }
}
