//! Scale-in protection: when an ECS service is scaled in or redeployed, it does not stop protected tasks.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{RETRIES, TIMEOUT, TaskIdentity};
use crate::Chain;
use crate::app::platform::plain_http_client;

/// Protection of a worker that hangs ends after this time. Two renewals may be missed.
const EXPIRES_IN_MINUTES: u32 = 30;
const RENEWAL: Duration = Duration::from_secs(10 * 60);
/// The wait after a request that failed.
const AGAIN: Duration = Duration::from_secs(60);
/// How long no job must run until protection is removed, so that a queue of short jobs does not cause two requests for
/// each.
const LINGER: Duration = Duration::from_secs(5);

/// Keeps the task of an ECS service from being scaled in while jobs run.
///
/// Only tasks of an ECS service can be protected. A task without a service is never scaled in; the agent refuses to
/// protect it, which is logged at the level debug, and is not asked again. If the agent refuses to protect the task of a
/// service, the worker logs one warning until the task is protected again.
///
/// The role of the task needs `ecs:UpdateTaskProtection`.
#[derive(Clone, Debug)]
pub struct ScaleInProtection {
    url: String,
    of_service: bool,
    warned: bool,
}

/// Why protection could not be set or removed.
#[derive(Debug, thiserror::Error)]
enum ProtectionError {
    #[error("no answer from the ECS agent")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the ECS agent answered {status}: {reason}")]
    Refused { status: StatusCode, reason: String },
}

impl ProtectionError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }
}

/// The agent's answer. It may refuse with `failure` although the status is 200.
#[derive(Default, Deserialize)]
struct Answer {
    failure: Option<Refusal>,
    error: Option<AgentError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentError {
    code: String,
    message: String,
}

impl ScaleInProtection {
    /// Protection of `task` by the agent at `agent_uri`, the value of `ECS_AGENT_URI`.
    pub fn new(agent_uri: &str, task: &TaskIdentity) -> Self {
        let agent = agent_uri.trim_end_matches('/');
        Self {
            url: format!("{agent}/task-protection/v1/state"),
            of_service: task.service.is_some(),
            warned: false,
        }
    }

    /// Protects the task while `active_jobs` is above zero and for 5 s longer, for 30 minutes that are renewed every 10.
    /// A request is tried at most three times, with 2 s each, and again after a minute; no job waits for it.
    ///
    /// Ends when the sender of `active_jobs` is dropped, or when the agent refuses a task without a service.
    ///
    /// # Cancel safety
    /// If the future is dropped, the task stays as protected as it was until the protection expires.
    pub async fn follow(mut self, active_jobs: watch::Receiver<usize>) {
        let mut need = Need {
            active_jobs,
            protected: false,
        };
        let mut renewal = RENEWAL;
        while let Some(protect) = need.next(renewal).await {
            let set = RETRIES.run(
                || self.set(protect),
                |error, delay| error.is_retryable().then_some(delay),
            );
            let set = set.await;
            renewal = if set.is_ok() { RENEWAL } else { AGAIN };
            match set {
                Ok(()) => {
                    tracing::debug!(protect, "scale-in protection set");
                    self.warned = false;
                }
                Err(error) if self.of_service => {
                    if !self.warned {
                        tracing::warn!(error = %Chain(&error), "scale-in protection not set, jobs may be cut short");
                    }
                    self.warned = true;
                }
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "no scale-in protection");
                    if !error.is_retryable() {
                        return;
                    }
                }
            }
        }
    }

    async fn set(&self, protect: bool) -> Result<(), ProtectionError> {
        let mut state = json!({ "ProtectionEnabled": protect });
        if protect {
            state["ExpiresInMinutes"] = EXPIRES_IN_MINUTES.into();
        }
        let no_answer = |error: reqwest::Error| ProtectionError::NoAnswer(error.without_url());
        let client = plain_http_client(TIMEOUT).map_err(no_answer)?;
        let put = client.put(&self.url).json(&state).send();
        let response = put.await.map_err(no_answer)?;
        let status = response.status();
        let answer = response.bytes().await.map_err(no_answer)?;
        let Answer { failure, error } = serde_json::from_slice(&answer).unwrap_or_default();
        let failure = failure.map(|failure| failure.reason);
        let error = error.map(|error| format!("{}: {}", error.code, error.message));
        match failure.or(error) {
            None if status.is_success() => Ok(()),
            reason => Err(ProtectionError::Refused {
                status,
                reason: reason.unwrap_or_else(|| "no reason given".into()),
            }),
        }
    }
}

/// Knows when protection has to be set or removed.
struct Need {
    active_jobs: watch::Receiver<usize>,
    protected: bool,
}

impl Need {
    /// Waits until protection has to be set or renewed (`true`) or removed (`false`); `None` if no further job will run.
    async fn next(&mut self, renewal: Duration) -> Option<bool> {
        if self.protected {
            tokio::select! {
                () = sleep(renewal) => {}
                idle = self.idle() => {
                    idle?;
                    self.protected = false;
                }
            }
        } else {
            self.active_jobs.wait_for(|jobs| *jobs > 0).await.ok()?;
            self.protected = true;
        }
        Some(self.protected)
    }

    /// Waits until no job has run for a while.
    async fn idle(&mut self) -> Option<()> {
        loop {
            self.active_jobs.wait_for(|jobs| *jobs == 0).await.ok()?;
            let next = self.active_jobs.wait_for(|jobs| *jobs > 0);
            match timeout(LINGER, next).await {
                Ok(next) => drop(next.ok()?),
                Err(_) => return Some(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    /// The next value to set, and after how many seconds.
    async fn next(need: &mut Need) -> (Option<bool>, u64) {
        let asked = Instant::now();
        let next = need.next(RENEWAL).await;
        (next, asked.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_protected_while_jobs_run_and_not_after() {
        let (jobs, active_jobs) = watch::channel(0);
        let mut need = Need {
            active_jobs,
            protected: false,
        };
        assert!(timeout(RENEWAL, need.next(RENEWAL)).await.is_err());
        jobs.send_replace(1);
        assert_eq!(next(&mut need).await, (Some(true), 0));
        jobs.send_replace(2);
        assert_eq!(next(&mut need).await, (Some(true), RENEWAL.as_secs()));
        jobs.send_replace(0);
        assert_eq!(next(&mut need).await, (Some(false), LINGER.as_secs()));
        assert!(timeout(RENEWAL, need.next(RENEWAL)).await.is_err());
        drop(jobs);
        assert_eq!(next(&mut need).await, (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_of_short_jobs_is_protected_once() {
        let (jobs, active_jobs) = watch::channel(1);
        let mut need = Need {
            active_jobs,
            protected: false,
        };
        assert_eq!(next(&mut need).await, (Some(true), 0));
        let queue = tokio::spawn(async move {
            for _ in 0..10 {
                jobs.send_replace(0);
                sleep(LINGER - Duration::from_secs(1)).await;
                jobs.send_replace(1);
                sleep(Duration::from_secs(1)).await;
            }
            jobs.send_replace(0);
            sleep(LINGER * 2).await;
        });
        let (removed, after) = next(&mut need).await;
        assert_eq!((removed, after), (Some(false), LINGER.as_secs() * 11));
        queue.await.unwrap();
    }
}
