//! `reefguide-lab fault`.

use std::error::Error;

use clap::{Args, ValueEnum};
use http::Method;

use super::client::Client;
use super::stdout::answer;
use crate::{Fault, FaultKind, Route};

/// Set a fault dial of a running lab
#[derive(Debug, Args)]
pub(super) struct SetFault {
    /// Where it strikes: login, token, create, poll, assign, job, result, download, s3-put, s3-upload-part,
    /// s3-complete-upload, s3-get, any-api, any-s3, any, …
    #[arg(required_unless_present = "clear")]
    route: Option<Route>,
    /// What goes wrong
    #[arg(required_unless_present = "clear")]
    kind: Option<Kind>,
    /// The status to answer with, 200 to 599 [default: 500 for status, 200 for page and swapped-answer, 302 for
    /// redirect]
    #[arg(long)]
    status: Option<u16>,
    /// Where a redirect points to; without it, to the same address with https
    #[arg(long, value_name = "URL")]
    location: Option<String>,
    /// Seconds of `Retry-After`, with a status
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// Milliseconds to wait, for a delay or a slow body
    #[arg(long, default_value_t = 1000)]
    ms: u64,
    /// Bytes of a body that pass before it is cut or corrupted
    #[arg(long, default_value_t = 0)]
    bytes: u64,
    /// How often it strikes; without it, until the dials are cleared
    #[arg(long)]
    count: Option<u64>,
    /// How many requests pass before it strikes
    #[arg(long, default_value_t = 0)]
    skip: u64,
    /// Clear all dials first; with no route and kind, only that
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    lab: Client,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Answered with `--status` as the server would, undone
    Status,
    /// Answered by a proxy's HTML page with `--status`, undone
    Page,
    /// Handled, but a proxy's HTML page with `--status` is the answer
    SwappedAnswer,
    /// Answered by a redirect to `--location`, undone
    Redirect,
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
    /// Each piece of the answer's body comes after `--ms`
    SlowPieces,
    /// The connection is reset after `--bytes` of the answer's body
    CutBody,
    /// The byte after `--bytes` of the answer's body is another one
    CorruptBody,
    /// The connection is reset after `--bytes` of the request's body, nothing done
    CutUpload,
    /// The byte after `--bytes` of the request's body is another one
    CorruptUpload,
}

impl SetFault {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        if self.clear {
            self.lab
                .ask(Method::DELETE, "/lab/faults", String::new())
                .await?;
            answer("all dials cleared")?;
        }
        if let (Some(route), Some(kind)) = (self.route, self.kind) {
            let kind = self.kind_of(kind);
            let mut fault = Fault::new(route, kind.clone()).after(self.skip);
            if let Some(count) = self.count {
                fault = fault.times(count);
            }
            self.lab
                .ask(Method::POST, "/lab/faults", serde_json::to_string(&fault)?)
                .await?;
            answer(format_args!("{route}: {kind}"))?;
        }
        Ok(())
    }

    fn kind_of(&self, kind: Kind) -> FaultKind {
        match kind {
            Kind::Status => FaultKind::Status {
                status: self.status.unwrap_or(500),
                retry_after: self.retry_after,
            },
            Kind::Page => FaultKind::Page {
                status: self.status.unwrap_or(200),
            },
            Kind::SwappedAnswer => FaultKind::SwappedAnswer {
                status: self.status.unwrap_or(200),
            },
            Kind::Redirect => FaultKind::Redirect {
                status: self.status.unwrap_or(302),
                location: self.location.clone(),
            },
            Kind::Delay => FaultKind::Delay { ms: self.ms },
            Kind::LostAnswer => FaultKind::LostAnswer,
            Kind::Reset => FaultKind::Reset,
            Kind::StaleKeepAlive => FaultKind::StaleKeepAlive,
            Kind::ExpireTokens => FaultKind::ExpireTokens,
            Kind::SlowBody => FaultKind::SlowBody { ms: self.ms },
            Kind::SlowPieces => FaultKind::SlowPieces { ms: self.ms },
            Kind::CutBody => FaultKind::CutBody { bytes: self.bytes },
            Kind::CorruptBody => FaultKind::CorruptBody { bytes: self.bytes },
            Kind::CutUpload => FaultKind::CutUpload { bytes: self.bytes },
            Kind::CorruptUpload => FaultKind::CorruptUpload { bytes: self.bytes },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_page_has_every_kind() {
        let page = include_str!("../api/page/assets/dials.js");
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
