//! The page's live view: its state is sent as a Server-Sent Event after every change.

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
use crate::api::state::{Api, Shared};
use crate::faults::SetFault;
use crate::request_log::RequestRecord;
use crate::route::Side;
use crate::store::{AssignmentDetails, JobDetails, JobSummary, Status};

/// Changes within this time are sent together.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// How long the browser waits before it reconnects.
const RECONNECT: Duration = Duration::from_secs(1);

/// The page size of the list of jobs.
const PAGE_JOBS: i64 = 100;

/// The outputs of an assignment that are listed at most; the API can download only 25.
const MAXIMUM_OUTPUTS: usize = 500;

/// The requests that a job's log shows at most.
const MAXIMUM_REQUESTS: usize = 500;

/// What the page shows: one job, or a page of the list.
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
    /// `None` if there is no such job.
    job: Option<ShownJob>,
}

#[derive(Serialize)]
struct ShownJob {
    #[serde(flatten)]
    details: JobDetails,
    /// By assignment.
    outputs: BTreeMap<i64, Vec<Output>>,
    /// The job logs that a worker with `JOB_LOGS` has stored elsewhere in the bucket.
    logs: Vec<Output>,
    requests: Vec<RequestRecord>,
}

#[derive(Serialize)]
struct Output {
    key: String,
    /// The path below the storage location.
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
                "no status is called {name}; use one of {}",
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
                tokio::time::sleep(DEBOUNCE).await;
                changes.borrow_and_update();
            }
            let shown = api.shown(view.job, status, view.before);
            // The stream ends here. The browser reconnects, and fails again if the problem lasts.
            let shown = shown.inspect_err(|error| {
                let error = error as &dyn std::error::Error;
                tracing::error!(error, "the page could not be updated");
            });
            let text = serde_json::to_string(&shown.ok()?).ok()?;
            if last.as_ref() != Some(&text) {
                let event = Event::default().data(&text).retry(RECONNECT);
                return Some((Ok::<_, Infallible>(event), (api, changes, Some(text))));
            }
        }
    });
    // The lab notices that a browser has disconnected only when it sends something.
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
            None => (Some(self.store.newest(status, before, PAGE_JOBS)?), None),
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
        for AssignmentDetails { assignment, .. } in &details.assignments {
            let prefix = objects.prefix(&assignment.storage_uri);
            let listed = objects
                .store
                .objects(&objects.bucket, prefix, MAXIMUM_OUTPUTS)?;
            let listed = listed.into_iter().map(|object| Output {
                path: object.key[prefix.len()..].trim_start_matches('/').into(),
                key: object.key,
                size: object.size,
            });
            outputs.insert(assignment.id, listed.collect());
            let name = format!("/{id}/{}.jsonl", assignment.id);
            let named = objects.store.objects_ending(&objects.bucket, &name)?;
            let elsewhere = named.into_iter().filter(|log| !log.key.starts_with(prefix));
            logs.extend(elsewhere.map(|log| Output {
                path: log.key.clone(),
                key: log.key,
                size: log.size,
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
        requests.drain(..requests.len().saturating_sub(MAXIMUM_REQUESTS));
        Ok(Some(ShownJob {
            details,
            outputs,
            logs,
            requests,
        }))
    }
}
