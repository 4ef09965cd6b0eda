//! The lab's page, and the routes that only the page uses.

mod live;
mod objects;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;

use super::state::{Api, Shared};
use crate::route::Route;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal $content_type:expr,)*) => {
        /// The page's files: name, content type, text.
        const ASSETS: &[(&str, &str, &str)] =
            &[$(($name, $content_type, include_str!(concat!("assets/", $name)))),*];
    };
}

// Names are in lower case because paths are converted to lower case before they are routed.
assets! {
    "style.css" "text/css; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "main.js" JAVASCRIPT,
    "lab.js" JAVASCRIPT,
    "dom.js" JAVASCRIPT,
    "jobs.js" JAVASCRIPT,
    "job.js" JAVASCRIPT,
    "outputs.js" JAVASCRIPT,
    "submit.js" JAVASCRIPT,
    "schema.js" JAVASCRIPT,
    "fields.js" JAVASCRIPT,
    "faults.js" JAVASCRIPT,
}

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/lab", get(index))
        .route("/lab/page/{name}", get(asset))
        .route("/lab/live", get(live::live))
        .route("/lab/objects", get(objects::download))
        .route("/lab/job-types", get(job_types))
        .route("/lab/routes", get(fault_routes))
}

async fn index() -> Html<&'static str> {
    Html(include_str!("assets/index.html"))
}

async fn asset(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |(_, content_type, text)| {
            let content_type = HeaderValue::from_static(content_type);
            ([(CONTENT_TYPE, content_type)], *text).into_response()
        },
    )
}

async fn job_types(State(api): Shared) -> Response {
    let types: Vec<_> = api
        .types
        .schemas()
        .map(|(name, input)| json!({ "name": name, "input": input }))
        .collect();
    Json(json!({ "types": types, "any": api.types.takes_any() })).into_response()
}

async fn fault_routes() -> Response {
    Json(Route::ALL).into_response()
}
