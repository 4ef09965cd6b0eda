//! The log of requests to the lab.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::route::{Route, Side};

/// How many requests the log keeps.
const CAPACITY: usize = 10_000;

/// One request to the lab.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// When it was answered, ISO 8601 in UTC.
    pub at: String,
    /// The server that received it.
    pub side: Side,
    /// Its route.
    pub route: Route,
    /// Its method.
    pub method: String,
    /// Its path and query, without signatures.
    pub path: String,
    /// The response's status, or `None` if the connection was closed instead.
    pub status: Option<u16>,
    /// Milliseconds from the request's head to the response's head.
    pub ms: u64,
    /// The job that it was about, if the lab knows it.
    pub job_id: Option<i64>,
    /// The fault that fired on it, if one did.
    pub fault: Option<String>,
}

/// The latest requests, and a channel for new ones.
#[derive(Debug)]
pub(crate) struct RequestLog {
    latest: Mutex<VecDeque<RequestRecord>>,
    live: broadcast::Sender<RequestRecord>,
    changes: watch::Sender<u64>,
}

impl RequestLog {
    pub(crate) fn new(changes: watch::Sender<u64>) -> Self {
        Self {
            latest: Mutex::default(),
            live: broadcast::Sender::new(1024),
            changes,
        }
    }

    pub(crate) fn record(&self, record: RequestRecord) {
        {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            if latest.len() == CAPACITY {
                latest.pop_front();
            }
            latest.push_back(record.clone());
        }
        // It fails if there is no receiver, which is fine.
        let _ = self.live.send(record);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.matching(|_| true)
    }

    /// The requests that meet `condition`, oldest first.
    pub(crate) fn matching(
        &self,
        condition: impl Fn(&RequestRecord) -> bool,
    ) -> Vec<RequestRecord> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest
            .iter()
            .filter(|record| condition(record))
            .cloned()
            .collect()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<RequestRecord> {
        self.live.subscribe()
    }
}
