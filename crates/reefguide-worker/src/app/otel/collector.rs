//! The connection to the collector.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::header::HeaderMap;
use tokio::runtime::Handle;

use reefguide_transport::http_client::{self, HttpClientError};

use crate::Chain;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests on the worker's runtime, since the exporter's thread has none.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    headers: HeaderMap,
    runtime: Handle,
    /// Whether the last request failed.
    away: AtomicBool,
}

impl Collector {
    pub(super) fn new(endpoint: &str, headers: HeaderMap) -> Result<Self, HttpClientError> {
        Ok(Self {
            client: http_client::client(endpoint, |client| client.timeout(TIMEOUT))?,
            headers,
            runtime: Handle::current(),
            away: AtomicBool::new(false),
        })
    }

    /// Logs once that the collector fails, and once that it works again.
    fn note(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let problem = match sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(Chain(&**error).to_string()),
        };
        let was_away = self.away.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(error) if !was_away => {
                tracing::warn!(
                    error,
                    "traces are not exported, and are dropped if that goes on"
                );
            }
            None if was_away => tracing::info!("traces are exported again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let client = self.client.clone();
        let sending = async move { client.send_bytes(request).await };
        let sent = match self.runtime.spawn(sending).await {
            Ok(sent) => sent,
            Err(error) => Err(error.into()),
        };
        self.note(&sent);
        sent
    }
}
