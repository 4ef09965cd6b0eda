//! The router: paths are found in any case and with any number of slashes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, Uri};
use tower::util::MapRequest;

use super::state::Api;
use super::{admin, auth, claims, control, download, jobs, response, same_origin};
use crate::body::RequestBody;
use crate::route::normalized_path;

type Normalise = fn(Request<RequestBody>) -> Request<RequestBody>;

/// Builds the HTTP service.
pub(crate) fn service(api: Arc<Api>) -> MapRequest<Router, Normalise> {
    let routes = Router::new()
        .route("/api", get(health))
        .route("/api/auth/login", post(auth::login))
        .route("/api/auth/token", post(auth::token))
        .route("/api/auth/profile", get(auth::profile))
        .route("/api/jobs", get(jobs::list).post(jobs::create))
        .route("/api/jobs/mine", get(jobs::mine))
        .route("/api/jobs/poll", get(jobs::poll))
        // Otherwise `requests` would be read as a job's id.
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
        .merge(control::routes().route_layer(from_fn(same_origin::only)))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_route)
        .layer(from_fn(response::not_modified))
        .with_state(api);
    MapRequest::new(routes, normalise as Normalise)
}

/// The path as the client sent it.
#[derive(Debug, Clone)]
struct SentPath(String);

fn normalise(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let sent = request.uri().path().to_owned();
    let mut path = normalized_path(&sent);
    if let Some(query) = request.uri().query() {
        path = format!("{path}?{query}");
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(SentPath(sent));
    request
}

async fn health() -> Response {
    response::json(
        StatusCode::OK,
        &serde_json::json!({ "message": "API healthy." }),
    )
}

async fn no_such_route(request: Request) -> Response {
    let path = request
        .extensions()
        .get::<SentPath>()
        .map_or("", |sent| sent.0.as_str());
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
