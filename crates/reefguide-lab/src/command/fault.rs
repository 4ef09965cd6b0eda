//! `reefguide-lab fault`.

use std::error::Error;

use clap::{Args, ValueEnum};
use http::Method;

use super::client::Client;
use super::stdout::answer;
use crate::fault::{Fault, FaultKind};
use crate::route::Route;

/// Set a fault on a running lab
#[derive(Debug, Args)]
pub(super) struct FaultCommand {
    /// The route on which it fires: login, token, create, poll, assign, job, result, download, s3-put, s3-upload-part,
    /// s3-complete-upload, s3-get, any-api, any-s3, any, …
    #[arg(required_unless_present = "clear")]
    route: Option<Route>,
    /// What goes wrong
    #[arg(required_unless_present = "clear")]
    kind: Option<Kind>,
    /// The status of the response, 200 to 599 [default: 500 for status, 200 for page and swapped-answer, 302 for
    /// redirect]
    #[arg(long)]
    status: Option<u16>,
    /// The target of a redirect [default: the same address with https]
    #[arg(long, value_name = "URL")]
    location: Option<String>,
    /// The `Retry-After` of a status, in seconds
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// The length of a delay, in milliseconds
    #[arg(long, default_value_t = 1000)]
    ms: u64,
    /// How many bytes of the body pass before the fault
    #[arg(long, default_value_t = 0)]
    bytes: u64,
    /// How often it fires [default: until the faults are cleared]
    #[arg(long)]
    count: Option<u64>,
    /// How many requests pass before it first fires
    #[arg(long, default_value_t = 0)]
    skip: u64,
    /// Clear all faults first; without a route and a kind, do nothing else
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    lab: Client,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// The server's response with `--status`; the request is not handled
    Status,
    /// A proxy's HTML page with `--status`; the request is not handled
    Page,
    /// A proxy's HTML page with `--status`, though the request is handled
    SwappedAnswer,
    /// A redirect to `--location`; the request is not handled
    Redirect,
    /// The request is handled after `--ms`
    Delay,
    /// The request is handled, but the connection is reset instead of a response
    LostAnswer,
    /// The connection is reset; the request is not handled
    Reset,
    /// A reused connection is closed as the request arrives
    StaleKeepAlive,
    /// All access tokens expire before the request is handled
    ExpireTokens,
    /// The response body is sent `--ms` after the head
    SlowBody,
    /// Each piece of the response body is sent after `--ms`
    SlowPieces,
    /// The connection is reset after `--bytes` of the response body
    CutBody,
    /// The byte after `--bytes` of the response body is wrong
    CorruptBody,
    /// The connection is reset after `--bytes` of the request body; the request is not handled
    CutUpload,
    /// The byte after `--bytes` of the request body is wrong
    CorruptUpload,
}

impl FaultCommand {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        if self.clear {
            self.lab
                .request(Method::DELETE, "/lab/faults", String::new())
                .await?;
            answer("all faults are cleared")?;
        }
        if let (Some(route), Some(kind)) = (self.route, self.kind) {
            let kind = self.kind_of(kind);
            let mut fault = Fault::new(route, kind.clone()).after(self.skip);
            if let Some(count) = self.count {
                fault = fault.times(count);
            }
            self.lab
                .request(Method::POST, "/lab/faults", serde_json::to_string(&fault)?)
                .await?;
            answer(format_args!("{route}: {kind}"))?;
        }
        Ok(())
    }

    fn kind_of(&self, kind: Kind) -> FaultKind {
        let status = |default| self.status.unwrap_or(default);
        let &Self { ms, bytes, .. } = self;
        match kind {
            Kind::Status => FaultKind::Status {
                status: status(500),
                retry_after: self.retry_after,
            },
            Kind::Page => FaultKind::Page {
                status: status(200),
            },
            Kind::SwappedAnswer => FaultKind::SwappedAnswer {
                status: status(200),
            },
            Kind::Redirect => FaultKind::Redirect {
                status: status(302),
                location: self.location.clone(),
            },
            Kind::Delay => FaultKind::Delay { ms },
            Kind::LostAnswer => FaultKind::LostAnswer,
            Kind::Reset => FaultKind::Reset,
            Kind::StaleKeepAlive => FaultKind::StaleKeepAlive,
            Kind::ExpireTokens => FaultKind::ExpireTokens,
            Kind::SlowBody => FaultKind::SlowBody { ms },
            Kind::SlowPieces => FaultKind::SlowPieces { ms },
            Kind::CutBody => FaultKind::CutBody { bytes },
            Kind::CorruptBody => FaultKind::CorruptBody { bytes },
            Kind::CutUpload => FaultKind::CutUpload { bytes },
            Kind::CorruptUpload => FaultKind::CorruptUpload { bytes },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_page_offers_every_kind() {
        let page = include_str!("../api/page/assets/faults.js");
        for kind in Kind::value_variants() {
            let kind = kind.to_possible_value().unwrap();
            let name = kind.get_name();
            assert!(
                [format!("\n  {name}: {{"), format!("\n  \"{name}\": {{")]
                    .iter()
                    .any(|entry| page.contains(entry)),
                "{name}"
            );
        }
    }
}
