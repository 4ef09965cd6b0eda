//! What the routes work on.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::uri::Authority;
use tokio::sync::watch;

use super::login_limit::LoginLimit;
use crate::faults::Faults;
use crate::job_type::JobTypes;
use crate::request_log::RequestLog;
use crate::s3;
use crate::store::JobStore;
use crate::token::Tokens;

/// The state of the API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Arc<JobStore>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) refresh_life: Duration,
    pub(crate) login_limit: LoginLimit,
    pub(crate) types: JobTypes,
    /// The longest time between the check and the write of an assignment or a result.
    pub(crate) race: Duration,
    pub(crate) objects: Objects,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<RequestLog>,
    /// Counts the changes that a view of the lab may show.
    pub(crate) changes: watch::Sender<u64>,
}

pub(crate) type Shared = State<Arc<Api>>;

impl Api {
    /// Waits between the check whether something is free and the write that takes it, so that other requests can come
    /// in between. `part` is the range of fractions of `race` to choose from.
    pub(crate) async fn race_window(&self, part: Range<f64>) {
        if !self.race.is_zero() {
            let part = part.start + fastrand::f64() * (part.end - part.start);
            tokio::time::sleep(self.race.mul_f64(part)).await;
        }
    }
}

/// The object store, as `download` needs it.
pub(crate) struct Objects {
    pub(crate) store: Arc<s3::ObjectStore>,
    pub(crate) endpoint: String,
    pub(crate) port: u16,
    pub(crate) region: &'static str,
    pub(crate) bucket: String,
    pub(crate) credentials: s3::Credentials,
}

impl Objects {
    /// The prefix of the keys at a storage location.
    pub(crate) fn prefix<'a>(&self, storage_uri: &'a str) -> &'a str {
        let (_, prefix) = storage_uri.split_at(format!("s3://{}/", self.bucket).len());
        prefix
    }

    /// The endpoint of the S3 server for a client that calls this machine `host`. The names differ inside and outside a
    /// container, and a presigned URL is valid for one of them only.
    pub(crate) fn endpoint_at(&self, host: Option<&str>) -> String {
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
