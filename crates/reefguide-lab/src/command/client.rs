//! Requests to the lab's own routes (`/lab`).

use clap::Args;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::BoxError;

/// A running lab.
#[derive(Debug, Args)]
pub(super) struct Client {
    /// The lab's API
    #[arg(
        long,
        value_name = "URL",
        env = "API_ENDPOINT",
        default_value = "http://127.0.0.1:5000"
    )]
    lab: Uri,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(
        "no lab responds at {lab}; start one with `reefguide-lab up`, or pass its API with --lab"
    )]
    Unreachable { lab: Uri, source: std::io::Error },
    #[error("{0} is not the URL of a lab, such as http://127.0.0.1:5000")]
    NoHost(Uri),
    #[error("the lab at {lab} did not respond to {path}")]
    NoResponse {
        lab: Uri,
        path: String,
        source: BoxError,
    },
    #[error("the lab refused with {status}: {text}")]
    Refused { status: StatusCode, text: String },
}

impl Client {
    /// Sends a request and returns the body of a successful response.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<String, ClientError> {
        let lab = &self.lab;
        let host = lab.host().ok_or_else(|| ClientError::NoHost(lab.clone()))?;
        let port = lab.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|source| ClientError::Unreachable {
            lab: lab.clone(),
            source,
        })?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{host}:{port}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(bytes::Bytes::from(body)));
        let no_response = |source| ClientError::NoResponse {
            lab: lab.clone(),
            path: path.to_owned(),
            source,
        };
        let request = request.map_err(|error| no_response(error.into()))?;
        let (status, text) = exchange(stream, request).await.map_err(no_response)?;
        if status.is_success() {
            Ok(text)
        } else {
            let response: Value = serde_json::from_str(&text).unwrap_or_default();
            let reason = response["message"].as_str().or(response["error"].as_str());
            let text = reason.map(str::to_owned).unwrap_or(text);
            Err(ClientError::Refused { status, text })
        }
    }
}

async fn exchange(
    stream: TcpStream,
    request: Request<Full<bytes::Bytes>>,
) -> Result<(StatusCode, String), BoxError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
