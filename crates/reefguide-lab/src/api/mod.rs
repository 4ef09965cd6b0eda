//! The job API: the routes of the real server, and the lab's own under `/lab`.

mod admin;
mod answer;
mod auth;
mod call;
mod claims;
mod control;
mod download;
mod error;
mod jobs;
mod login_limit;
mod own_site;
mod page;
mod zod;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http::uri::Authority;
use http::{StatusCode, Uri};
use tokio::sync::watch;
use tower::util::MapRequest;

use crate::body::RequestBody;
use crate::fault::Faults;
use crate::job_type::JobTypes;
use crate::request_log::RequestLog;
use crate::route::plain_path;
use crate::s3;
use crate::store::JobStore;
use crate::token::Tokens;

pub(crate) use login_limit::LoginLimit;

/// What the routes work on.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Arc<JobStore>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) refresh_life: Duration,
    pub(crate) login_limit: LoginLimit,
    pub(crate) types: JobTypes,
    /// Between the check and the write of an assignment or a result.
    pub(crate) race: Duration,
    pub(crate) objects: Objects,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<RequestLog>,
    /// Counts what a look at the lab could show.
    pub(crate) changes: watch::Sender<u64>,
}

/// The object store, as `download` needs it.
pub(crate) struct Objects {
    pub(crate) store: Arc<s3::Store>,
    pub(crate) endpoint: String,
    pub(crate) port: u16,
    pub(crate) region: &'static str,
    pub(crate) bucket: String,
    pub(crate) credentials: s3::Credentials,
}

impl Objects {
    /// The prefix of the keys at a storage location.
    fn prefix<'a>(&self, storage_uri: &'a str) -> &'a str {
        let (_, prefix) = storage_uri.split_at(format!("s3://{}/", self.bucket).len());
        prefix
    }

    /// The S3 server's endpoint for a client that calls this machine `host`. Inside and outside a container the names
    /// differ, and a presigned URL is good for one of them only.
    fn endpoint_at(&self, host: Option<&str>) -> String {
        let authority = host.and_then(|host| host.parse::<Authority>().ok());
        authority.map_or_else(
            || self.endpoint.clone(),
            |authority| format!("http://{}:{}", authority.host(), self.port),
        )
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

type Normalise = fn(Request<RequestBody>) -> Request<RequestBody>;

type Shared = axum::extract::State<Arc<Api>>;

/// The routes, found whatever the case of the path and the number of its slashes.
pub(crate) fn service(api: Arc<Api>) -> MapRequest<Router, Normalise> {
    let routes = Router::new()
        .route("/api", get(health))
        .route("/api/auth/login", post(auth::login))
        .route("/api/auth/token", post(auth::token))
        .route("/api/auth/profile", get(auth::profile))
        .route("/api/jobs", get(jobs::list).post(jobs::create))
        .route("/api/jobs/mine", get(jobs::mine))
        .route("/api/jobs/poll", get(jobs::poll))
        // Not a job's id.
        .route("/api/jobs/requests", get(no_such_route))
        .route("/api/jobs/assign", post(claims::assign))
        .route("/api/jobs/assignments/{id}/result", post(claims::result))
        .route("/api/jobs/{id}", get(jobs::job))
        .route("/api/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/jobs/{id}/download", get(download::download))
        .route(
            "/api/admin/data-specification",
            post(admin::data_specification),
        )
        .route("/api/admin/timeout-jobs", post(admin::timeout_jobs))
        .merge(control::routes().route_layer(from_fn(own_site::only)))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_route)
        .layer(from_fn(answer::not_modified))
        .with_state(api);
    MapRequest::new(routes, normalise as Normalise)
}

/// The path as the client wrote it.
#[derive(Debug, Clone)]
struct WrittenPath(String);

fn normalise(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let written = request.uri().path().to_owned();
    let mut path = plain_path(&written);
    if let Some(query) = request.uri().query() {
        path = format!("{path}?{query}");
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(WrittenPath(written));
    request
}

async fn health() -> Response {
    answer::json(
        StatusCode::OK,
        &serde_json::json!({ "message": "API healthy." }),
    )
}

async fn no_such_route(request: Request) -> Response {
    let path = request
        .extensions()
        .get::<WrittenPath>()
        .map_or("", |written| written.0.as_str());
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n\
         <body>\n<pre>Cannot {} {}</pre>\n</body>\n</html>\n",
        request.method(),
        path.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
    );
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}
