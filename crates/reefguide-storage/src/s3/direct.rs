//! Requests that use the SDK's parts directly.
//!
//! For each request the SDK resolves endpoint, authentication and settings again, in many steps with hooks. For a
//! small object that takes several times as long as the request itself. So after a request that succeeded, this keeps
//! what the SDK resolved, and calls the SDK's serializer, signer, connection and deserializer directly for later
//! requests to the same bucket. Failures that need more than a retry go to the SDK.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::endpoint::Endpoint;
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    ConfigBag, FrozenLayer, HttpClient, Intercept, ResolveCachedIdentity, RuntimeComponents,
    RuntimePlugin,
};
use aws_sdk_s3::error::{BoxError, BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::auth::{
    AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, SharedAuthScheme,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::interceptors::context::Input;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer,
};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::body::Signing;
use super::{RETRIES, tries};

/// The only authentication scheme that is supported here.
const SIGV4: &str = "sigv4";
/// The client's name in the logs of servers. It names the project's program, not this crate.
const USER_AGENT: &str = concat!("reefguide-worker/", env!("CARGO_PKG_VERSION"));
/// How many buckets' routes are kept.
const BUCKETS: usize = 64;

/// Sends the requests of one operation.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    /// The serializer and deserializer.
    operation: Option<FrozenLayer>,
    /// By bucket.
    routes: Arc<Mutex<HashMap<String, Arc<Route>>>>,
}

/// What the SDK resolved for requests to a bucket.
#[derive(Debug)]
struct Route {
    endpoint: Endpoint,
    scheme: SharedAuthScheme,
    identities: SharedIdentityResolver,
    connector: SharedHttpConnector,
    timeouts: TimeoutConfig,
    components: RuntimeComponents,
}

/// What to do after a failure.
enum Verdict {
    /// Nothing: it is about the object.
    Final,
    /// Try again.
    Retry,
    /// Leave the request to the SDK, which handles wrong clocks, credentials and regions.
    Unclear,
}

impl Direct {
    pub(super) fn new(operation: &impl RuntimePlugin) -> Self {
        Self {
            operation: operation.config(),
            routes: Arc::default(),
        }
    }

    /// The answer to the request that `input` builds for each try; sent `by_sdk` if there is no route yet, or if
    /// the failure is unclear. `by_sdk` must use the interceptor that it is given.
    pub(super) async fn send<I, O, E, F>(
        &self,
        bucket: &str,
        signing: Option<&Signing>,
        input: impl Fn() -> Result<I, BuildError>,
        by_sdk: impl FnOnce(Learn) -> F,
    ) -> Result<O, SdkError<E>>
    where
        I: Debug + Send + Sync + 'static,
        O: Debug + Send + Sync + 'static,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        F: Future<Output = Result<O, SdkError<E>>>,
    {
        let route = self.routes().get(bucket).map(Arc::clone);
        if let (Some(operation), Some(route)) = (&self.operation, route) {
            let limit = route.timeouts.operation_timeout();
            let tries = route.send(operation, signing, input);
            match within(limit, tries).await {
                Ok(Some(answer)) => return answer,
                Ok(None) => {}
                Err(late) => return Err(SdkError::timeout_error(late)),
            }
        }
        let learn = Learn::default();
        let answer = by_sdk(learn.clone()).await;
        if let (Ok(_), Some(route)) = (&answer, learn.route.get()) {
            let mut routes = self.routes();
            if routes.len() >= BUCKETS {
                routes.clear();
            }
            routes.insert(bucket.to_owned(), Arc::clone(route));
        }
        answer
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<String, Arc<Route>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    /// The answer to the last try; `None` if the SDK should send the request.
    async fn send<I, O, E>(
        &self,
        operation: &FrozenLayer,
        signing: Option<&Signing>,
        input: impl Fn() -> Result<I, BuildError>,
    ) -> Option<Result<O, SdkError<E>>>
    where
        I: Debug + Send + Sync + 'static,
        O: Debug + Send + Sync + 'static,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let limit = self.timeouts.operation_attempt_timeout();
        let mut delays = RETRIES.delays();
        loop {
            let request = self.request(operation, signing, input().ok()?);
            let request = request.await.ok()?;
            tries::begun();
            let answer = within(limit, self.answer(operation, request)).await;
            let error = match answer {
                Ok(Ok(output)) => return Some(Ok(output)),
                Ok(Err(error)) => error,
                Err(late) => SdkError::timeout_error(late),
            };
            let delay = match verdict(&error) {
                Verdict::Final => None,
                Verdict::Retry => delays.next(),
                Verdict::Unclear => return None,
            };
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Some(Err(error)),
            }
        }
    }

    async fn request<I>(
        &self,
        operation: &FrozenLayer,
        signing: Option<&Signing>,
        input: I,
    ) -> Result<HttpRequest, BoxError>
    where
        I: Debug + Send + Sync + 'static,
    {
        let serializer = operation.load::<SharedRequestSerializer>();
        let serializer = serializer.ok_or("no serializer")?;
        let mut config = ConfigBag::base();
        config.push_shared_layer(operation.clone());
        let url = self.endpoint.url();
        if let Some(payload) = signing.and_then(|signing| signing.payload(url)) {
            config.interceptor_state().store_put(payload);
        }
        let mut request = serializer.serialize_input(Input::erase(input), &mut config)?;
        request.uri_mut().set_endpoint(url)?;
        request.headers_mut().insert("user-agent", USER_AGENT);
        let identity = self
            .components
            .identity_cache()
            .resolve_cached_identity(self.identities.clone(), &self.components, &config)
            .await?;
        let scheme = self.endpoint.auth_schemes().first();
        let scheme = scheme.map_or_else(
            AuthSchemeEndpointConfig::empty,
            AuthSchemeEndpointConfig::from_typed,
        );
        let signer = self.scheme.signer();
        signer.sign_http_request(&mut request, &identity, scheme, &self.components, &config)?;
        Ok(request)
    }

    async fn answer<O, E>(
        &self,
        operation: &FrozenLayer,
        request: HttpRequest,
    ) -> Result<O, SdkError<E>>
    where
        O: Debug + Send + Sync + 'static,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let answer = self.connector.call(request).await;
        let mut answer: HttpResponse = answer.map_err(SdkError::dispatch_failure)?;
        let config = ConfigBag::base();
        let Some(deserializer) = operation.load::<SharedResponseDeserializer>() else {
            return Err(SdkError::response_error("no deserializer", answer));
        };
        let output = match deserializer.deserialize_streaming_with_config(&mut answer, &config) {
            Some(output) => output,
            None => {
                match answer.take_body().collect().await {
                    Ok(body) => *answer.body_mut() = SdkBody::from(body.to_bytes()),
                    Err(error) => return Err(SdkError::response_error(error, answer)),
                }
                deserializer.deserialize_nonstreaming_with_config(&answer, &config)
            }
        };
        let mut refused = None;
        let problem = match output {
            Ok(output) => match output.downcast() {
                Ok(output) => return Ok(output),
                Err(_) => BoxError::from("an answer of another type"),
            },
            Err(error) => error
                .map_operation_error(|error| refused = error.downcast::<E>().ok())
                .to_string()
                .into(),
        };
        Err(match refused {
            Some(refused) => SdkError::service_error(refused, answer),
            None => SdkError::response_error(problem, answer),
        })
    }
}

fn verdict<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Verdict {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Verdict::Retry,
        // To the SDK, a server that hangs up without an answer is a failure of another kind.
        SdkError::DispatchFailure(failure)
            if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
        {
            Verdict::Retry
        }
        SdkError::ServiceError(refused) => match (refused.raw().status().as_u16(), error.code()) {
            (404 | 412, _) | (_, Some("BadDigest" | "XAmzContentSHA256Mismatch")) => Verdict::Final,
            (429 | 500 | 502..=504, _) => Verdict::Retry,
            _ => Verdict::Unclear,
        },
        _ => Verdict::Unclear,
    }
}

async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = T>,
) -> Result<T, tokio::time::error::Elapsed> {
    timeout(limit.unwrap_or(Duration::MAX), work).await
}

/// An interceptor that remembers the route of the SDK's request.
#[derive(Clone, Debug, Default)]
pub(super) struct Learn {
    route: Arc<OnceLock<Arc<Route>>>,
}

impl Intercept for Learn {
    fn name(&self) -> &'static str {
        "Learn"
    }

    fn modify_before_signing(
        &self,
        _: &mut BeforeTransmitInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(route) = route(components, config) {
            // A second try has the same route.
            let _ = self.route.set(Arc::new(route));
        }
        Ok(())
    }
}

/// The SDK's route, if requests can be sent over it directly.
fn route(components: &RuntimeComponents, config: &ConfigBag) -> Option<Route> {
    let endpoint = config.load::<Endpoint>()?;
    let schemes = endpoint.auth_schemes();
    if schemes.first()?.name() != SIGV4 || endpoint.headers().next().is_some() {
        return None;
    }
    let scheme = components.auth_scheme(AuthSchemeId::new(SIGV4))?;
    let timeouts = config.load::<TimeoutConfig>()?;
    // With the same settings, these are the SDK's own connections.
    let mut settings = HttpConnectorSettings::builder();
    settings.set_connect_timeout(timeouts.connect_timeout());
    settings.set_read_timeout(timeouts.read_timeout());
    let http = components.http_client()?;
    Some(Route {
        endpoint: endpoint.clone(),
        identities: scheme.identity_resolver(components)?,
        scheme,
        connector: http.http_connector(&settings.build(), components),
        timeouts: timeouts.clone(),
        // Without the interceptors: `Learn` holds this route, which would form a reference cycle.
        components: components
            .to_builder()
            .with_interceptors(iter::empty())
            .build()
            .ok()?,
    })
}
