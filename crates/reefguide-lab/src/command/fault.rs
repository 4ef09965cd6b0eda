//! `reefguide-lab fault`.

use std::error::Error;

use clap::{Args, ValueEnum};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use reefguide_lab::{Fault, FaultKind, Route};
use tokio::net::TcpStream;

/// Set a fault dial of a running lab
#[derive(Debug, Args)]
pub(crate) struct SetFault {
    /// Where it strikes: login, token, create, poll, assign, job, result, download, s3-put, s3-upload-part,
    /// s3-complete-upload, s3-get, any-api, s3-any, any, …
    #[arg(required_unless_present = "clear")]
    route: Option<Route>,
    /// What goes wrong
    #[arg(required_unless_present = "clear")]
    kind: Option<Kind>,
    /// The status to answer with
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(400..600))]
    status: u16,
    /// Seconds of `Retry-After`, with a status
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// Milliseconds to wait, for a delay or a slow body
    #[arg(long, default_value_t = 1000)]
    ms: u64,
    /// How often it strikes; without it, until the dials are cleared
    #[arg(long)]
    count: Option<u64>,
    /// How many requests pass before it strikes
    #[arg(long, default_value_t = 0)]
    skip: u64,
    /// Clear all dials first; with no route and kind, only that
    #[arg(long)]
    clear: bool,
    /// The lab's API
    #[arg(
        long,
        value_name = "URL",
        env = "API_ENDPOINT",
        default_value = "http://127.0.0.1:5000"
    )]
    lab: Uri,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Answered with `--status`, undone
    Status,
    /// Handled after `--ms`
    Delay,
    /// Handled, but the connection is reset instead of an answer
    LostAnswer,
    /// The connection is reset, nothing done
    Reset,
    /// A reused connection is closed as the request comes
    StaleKeepAlive,
    /// All access tokens end before the request is handled
    ExpireTokens,
    /// The answer's body comes `--ms` after its head
    SlowBody,
}

#[derive(Debug, thiserror::Error)]
enum FaultError {
    #[error(
        "no lab answers at {lab}; start one with `reefguide-lab up`, or name its API with --lab"
    )]
    Unreachable { lab: Uri, source: std::io::Error },
    #[error("{0} is no URL of a lab, such as http://127.0.0.1:5000")]
    NoHost(Uri),
    #[error("the lab refused with {status}: {text}")]
    Refused {
        status: http::StatusCode,
        text: String,
    },
}

impl SetFault {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        if self.clear {
            self.send(Method::DELETE, String::new()).await?;
            println!("all dials cleared");
        }
        if let (Some(route), Some(kind)) = (self.route, self.kind) {
            let kind = self.kind_of(kind);
            let mut fault = Fault::new(route, kind.clone()).after(self.skip);
            if let Some(count) = self.count {
                fault = fault.times(count);
            }
            self.send(Method::POST, serde_json::to_string(&fault)?)
                .await?;
            println!("{route}: {kind}");
        }
        Ok(())
    }

    fn kind_of(&self, kind: Kind) -> FaultKind {
        match kind {
            Kind::Status => FaultKind::Status {
                status: self.status,
                retry_after: self.retry_after,
            },
            Kind::Delay => FaultKind::Delay { ms: self.ms },
            Kind::LostAnswer => FaultKind::LostAnswer,
            Kind::Reset => FaultKind::Reset,
            Kind::StaleKeepAlive => FaultKind::StaleKeepAlive,
            Kind::ExpireTokens => FaultKind::ExpireTokens,
            Kind::SlowBody => FaultKind::SlowBody { ms: self.ms },
        }
    }

    async fn send(&self, method: Method, body: String) -> Result<(), Box<dyn Error>> {
        let host = self
            .lab
            .host()
            .ok_or_else(|| FaultError::NoHost(self.lab.clone()))?;
        let port = self.lab.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|source| FaultError::Unreachable {
            lab: self.lab.clone(),
            source,
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri("/lab/faults")
            .header(HOST, format!("{host}:{port}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(bytes::Bytes::from(body)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let text =
            String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned();
        if status.is_success() {
            Ok(())
        } else {
            Err(FaultError::Refused { status, text }.into())
        }
    }
}
