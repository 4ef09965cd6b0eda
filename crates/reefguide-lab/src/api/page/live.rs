//! What the page shows, sent anew at every change, as Server-Sent Events.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::api::error::ApiError;
use crate::api::{Api, Shared};
use crate::fault::SetFault;
use crate::request_log::RequestRecord;
use crate::route::Side;
use crate::store::{JobDetails, JobSummary, Status};

/// Changes that come closer together than this are shown together.
const PAUSE: Duration = Duration::from_millis(100);

/// How soon the browser connects again to a lab that has gone.
const RECONNECT: Duration = Duration::from_secs(1);

/// How many jobs the list shows at a time.
const LISTED: i64 = 100;

/// How many outputs of an assignment are listed; only 25 can be downloaded through the API.
const MOST_OUTPUTS: usize = 500;

/// How many requests a job's log shows.
const MOST_REQUESTS: usize = 500;

/// What to show: one job, or a part of the list.
#[derive(Debug, Deserialize)]
pub(super) struct View {
    job: Option<i64>,
    status: Option<String>,
    before: Option<i64>,
}

#[derive(Serialize)]
struct Shown {
    counts: BTreeMap<&'static str, i64>,
    faults: Vec<SetFault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobSummary>>,
    /// `None` where there is no such job.
    job: Option<ShownJob>,
}

#[derive(Serialize)]
struct ShownJob {
    #[serde(flatten)]
    details: JobDetails,
    /// By assignment.
    outputs: BTreeMap<i64, Vec<Output>>,
    /// What a worker with `JOB_LOGS` has stored of it elsewhere in the bucket.
    logs: Vec<Output>,
    requests: Vec<RequestRecord>,
}

#[derive(Serialize)]
struct Output {
    key: String,
    /// Below the storage location.
    path: String,
    size: u64,
}

pub(super) async fn live(
    State(api): Shared,
    Query(view): Query<View>,
) -> Result<Response, ApiError> {
    let status = match view.status.as_deref() {
        None => None,
        Some(name) => Some(Status::parse(name).ok_or_else(|| {
            ApiError::Refused(format!(
                "no status is called {name}; there are {}",
                Status::NAMES.join(", ")
            ))
        })?),
    };
    let changes = api.changes.subscribe();
    let start = (api, changes, None::<String>);
    let events = stream::unfold(start, move |(api, mut changes, last)| async move {
        loop {
            if last.is_some() {
                changes.changed().await.ok()?;
                tokio::time::sleep(PAUSE).await;
                changes.borrow_and_update();
            }
            let shown = api.shown(view.job, status, view.before);
            // The browser connects again, and hears of it again if the trouble lasts.
            let shown = shown.inspect_err(|error| {
                let error = error as &dyn std::error::Error;
                tracing::error!(error, "the page gets no news");
            });
            let text = serde_json::to_string(&shown.ok()?).ok()?;
            if last.as_ref() != Some(&text) {
                let event = Event::default().data(&text).retry(RECONNECT);
                return Some((Ok::<_, Infallible>(event), (api, changes, Some(text))));
            }
        }
    });
    // A browser that has gone is noticed when something is sent.
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response())
}

impl Api {
    fn shown(
        &self,
        job: Option<i64>,
        status: Option<Status>,
        before: Option<i64>,
    ) -> Result<Shown, ApiError> {
        let (jobs, job) = match job {
            Some(id) => (None, self.shown_job(id)?),
            None => (Some(self.store.newest(status, before, LISTED)?), None),
        };
        Ok(Shown {
            counts: self.store.counts()?,
            faults: self.faults.all(),
            jobs,
            job,
        })
    }

    fn shown_job(&self, id: i64) -> Result<Option<ShownJob>, ApiError> {
        let Some(details) = self.store.details(id)? else {
            return Ok(None);
        };
        let objects = &self.objects;
        let mut outputs = BTreeMap::new();
        let mut logs = Vec::new();
        let mut locations = Vec::new();
        for held in &details.assignments {
            let prefix = objects.prefix(&held.assignment.storage_uri);
            let listed = objects
                .store
                .objects(&objects.bucket, prefix, MOST_OUTPUTS)?;
            let listed = listed.into_iter().map(|object| Output {
                path: object.key[prefix.len()..]
                    .trim_start_matches('/')
                    .to_owned(),
                key: object.key,
                size: object.size,
            });
            outputs.insert(held.assignment.id, listed.collect());
            let name = format!("/{id}/{}.jsonl", held.assignment.id);
            let named = objects.store.objects_ending(&objects.bucket, &name)?;
            let elsewhere = named
                .into_iter()
                .filter(|object| !object.key.starts_with(prefix));
            logs.extend(elsewhere.map(|object| Output {
                path: object.key.clone(),
                key: object.key,
                size: object.size,
            }));
            locations.push(format!("/{}/{prefix}", objects.bucket));
        }
        let concerns = |request: &RequestRecord| match request.side {
            Side::Api => request.job_id == Some(id),
            Side::S3 => {
                let path = percent_decode_str(&request.path).decode_utf8_lossy();
                locations.iter().any(|location| path.starts_with(location))
            }
        };
        let mut requests = self.log.matching(concerns);
        requests.drain(..requests.len().saturating_sub(MOST_REQUESTS));
        Ok(Some(ShownJob {
            details,
            outputs,
            logs,
            requests,
        }))
    }
}
