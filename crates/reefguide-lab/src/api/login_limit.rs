//! The login limit: how often a client address may log in within a time window. Successful logins count too.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, RETRY_AFTER};

use crate::store::Time;

/// Counts logins for each client address.
#[derive(Debug)]
pub(crate) struct LoginLimit {
    limit: u32,
    window: Duration,
    clients: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    used: u32,
    ends: Time,
}

/// A client's quota after one more login.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginQuota {
    limit: u32,
    used: u32,
    now: Time,
    ends: Time,
}

impl LoginLimit {
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            clients: Mutex::default(),
        }
    }

    /// Counts a login.
    pub(crate) fn count(&self, client: IpAddr) -> LoginQuota {
        let now = Time::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window {
            used: 0,
            ends: now.plus(self.window),
        };
        let window = clients.entry(client).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window.used = window.used.saturating_add(1);
        LoginQuota {
            limit: self.limit,
            used: window.used,
            now,
            ends: window.ends,
        }
    }
}

impl LoginQuota {
    pub(crate) fn exceeded(self) -> bool {
        self.used > self.limit
    }

    /// Reports the quota to the client.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let in_seconds =
            |milliseconds: i64| milliseconds.div_euclid(1000) + i64::from(milliseconds % 1000 != 0);
        headers.insert(
            HeaderName::from_static("x-ratelimit-limit"),
            self.limit.into(),
        );
        headers.insert(
            HeaderName::from_static("x-ratelimit-remaining"),
            self.limit.saturating_sub(self.used).into(),
        );
        headers.insert(
            HeaderName::from_static("x-ratelimit-reset"),
            in_seconds(self.ends.0).into(),
        );
        if self.exceeded() {
            headers.insert(RETRY_AFTER, in_seconds(self.ends.0 - self.now.0).into());
        }
    }
}
