//! What was asked of the lab, and what it answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::route::{Route, Side};

/// How many requests are remembered.
const REMEMBERED: usize = 10_000;

/// One request to the lab.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// When it was answered, ISO 8601 in UTC.
    pub at: String,
    /// The server it came to.
    pub side: Side,
    /// The route it took.
    pub route: Route,
    /// Its method.
    pub method: String,
    /// Its path and query; signatures are left out.
    pub path: String,
    /// The status it was answered with; `None` when the connection was cut instead.
    pub status: Option<u16>,
    /// Milliseconds from its head to the answer's.
    pub ms: u64,
    /// The job it was about, where the lab knows.
    pub job_id: Option<i64>,
    /// The fault that struck it, if one did.
    pub fault: Option<String>,
}

/// The latest requests, and a channel on which each comes as it happens.
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
            if latest.len() == REMEMBERED {
                latest.pop_front();
            }
            latest.push_back(record.clone());
        }
        // Nobody listening is no fault.
        let _ = self.live.send(record);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.matching(|_| true)
    }

    /// Those that meet `condition`, oldest first.
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
