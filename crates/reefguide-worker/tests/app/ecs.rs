use std::time::Duration;

use axum::extract::State;
use axum::routing::put;
use axum::{Json, Router};
use httpmock::MockServer;
use reefguide_worker::app::ecs::{ScaleInProtection, TaskIdentity};
use reefguide_worker::app::telemetry::{TelemetryOptions, subscriber};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::Lines;

const TASK: &str = "arn:aws:ecs:ap-southeast-2:123456789012:task/reefguide/0f9c";
const CLUSTER: &str = "arn:aws:ecs:ap-southeast-2:123456789012:cluster/reefguide";

/// The identity, and what the log says about it.
async fn logged(metadata_uri: Option<&str>) -> (TaskIdentity, Vec<String>) {
    logging(TaskIdentity::discover(metadata_uri)).await
}

/// What is done, and what the log says about it: each line's level and message.
async fn logging<T>(doing: impl Future<Output = T>) -> (T, Vec<String>) {
    let lines = Lines::default();
    let options = TelemetryOptions {
        filter: "info,reefguide_worker=debug".into(),
        ..TelemetryOptions::default()
    };
    let subscriber = subscriber(&options, lines.writer(), false).unwrap();
    let _logging = tracing::subscriber::set_default(subscriber);
    let done = doing.await;
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!(
            "{} {}",
            line["level"].as_str().unwrap(),
            line["message"].as_str().unwrap()
        )
    };
    (done, lines.text().lines().map(line).collect())
}

async fn discovered(metadata: Value) -> TaskIdentity {
    let agent = MockServer::start_async().await;
    let asked = agent.mock(|when, then| {
        when.method("GET").path("/v4/abc/task");
        then.status(200).json_body(metadata);
    });
    let (identity, log) = logged(Some(&agent.url("/v4/abc"))).await;
    asked.assert_calls(1);
    assert_eq!(log, ["INFO running as an ECS task"]);
    identity
}

#[tokio::test]
async fn the_task_is_who_the_agent_says() {
    let identity = discovered(json!({
        "TaskARN": TASK, "Cluster": CLUSTER, "Family": "worker", "Revision": "7",
        "AvailabilityZone": "ap-southeast-2a", "LaunchType": "FARGATE", "ServiceName": "workers",
        "Limits": {"CPU": 0.25, "Memory": 512},
    }))
    .await;
    assert_eq!(identity.task_arn, TASK);
    assert_eq!(identity.cluster_arn, CLUSTER);
    assert_eq!(identity.family.as_deref(), Some("worker"));
    assert_eq!(identity.revision.as_deref(), Some("7"));
    assert_eq!(
        identity.availability_zone.as_deref(),
        Some("ap-southeast-2a")
    );
    assert_eq!(identity.service.as_deref(), Some("workers"));
    assert_eq!(identity.cpus, Some(0.25));
    assert_eq!(identity.memory, Some(512 << 20));
}

#[tokio::test]
async fn a_revision_may_be_a_number_and_a_cluster_a_bare_name() {
    let identity =
        discovered(json!({"TaskARN": TASK, "Cluster": "reefguide", "Revision": 7})).await;
    assert_eq!(identity.revision.as_deref(), Some("7"));
    assert_eq!(identity.cluster_arn, CLUSTER);
    assert_eq!(identity.family, None);
}

#[tokio::test]
async fn an_agent_that_fails_is_asked_three_times_and_done_without() {
    let agent = MockServer::start_async().await;
    let asked = agent.mock(|when, then| {
        when.path("/task");
        then.status(500);
    });
    let (identity, log) = logged(Some(&agent.base_url())).await;
    asked.assert_calls(3);
    assert_eq!(
        log,
        ["WARN no answer from the ECS agent, claims use a local identity"]
    );
    assert!(
        identity.task_arn.starts_with("local/"),
        "{}",
        identity.task_arn
    );
    assert_eq!(identity.cluster_arn, "local");
}

#[tokio::test]
async fn off_ecs_each_worker_has_an_identity_of_its_own() {
    let (first, log) = logged(None).await;
    assert_eq!(log, ["INFO not on ECS, claims use a local identity"]);
    let second = TaskIdentity::discover(None).await;
    let process = format!("/{}-", std::process::id());
    assert!(first.task_arn.contains(&process), "{}", first.task_arn);
    assert_ne!(first.task_arn, second.task_arn);
}

/// A task that is of a service, or was started by itself.
async fn task(service: &str) -> TaskIdentity {
    discovered(json!({"TaskARN": TASK, "Cluster": CLUSTER, "ServiceName": service})).await
}

/// An agent that tells what state it was asked for.
async fn agent() -> (
    String,
    mpsc::UnboundedReceiver<Value>,
    AbortOnDropHandle<()>,
) {
    let (asked, states) = mpsc::unbounded_channel();
    let path = "/api/abc/task-protection/v1/state";
    let answer = |State(asked): State<mpsc::UnboundedSender<Value>>, Json(state): Json<Value>| async move {
        asked.send(state).unwrap();
        Json(json!({"protection": {"TaskArn": TASK, "ProtectionEnabled": true}}))
    };
    let agent = Router::new().route(path, put(answer)).with_state(asked);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/api/abc", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, agent).await.unwrap() });
    (uri, states, AbortOnDropHandle::new(serving))
}

#[tokio::test]
async fn a_task_is_protected_when_a_job_runs_and_not_when_none_does() {
    let (uri, mut states, _agent) = agent().await;
    let (jobs, active_jobs) = watch::channel(0);
    let protection = ScaleInProtection::new(&uri, &task("workers").await);
    let following = tokio::spawn(protection.follow(active_jobs));
    jobs.send_replace(1);
    let protect = json!({"ProtectionEnabled": true, "ExpiresInMinutes": 30});
    assert_eq!(states.recv().await, Some(protect.clone()));
    jobs.send_replace(0);
    let removed = async {
        loop {
            let state = states.recv().await.unwrap();
            if state != protect {
                return state;
            }
        }
    };
    let removed = timeout(Duration::from_secs(60), removed).await.unwrap();
    assert_eq!(removed, json!({"ProtectionEnabled": false}));
    drop(jobs);
    following.await.unwrap();
}

/// What is logged when the agent answers so to a request for protection, and how often it is asked.
async fn refused(service: &str, status: u16, answer: Value) -> (Vec<String>, usize) {
    let agent = MockServer::start_async().await;
    let asked = agent.mock(|when, then| {
        when.method("PUT").path("/task-protection/v1/state");
        then.status(status).json_body(answer);
    });
    let protection = ScaleInProtection::new(&agent.base_url(), &task(service).await);
    // The sender is gone: when the number has been followed, that is the end.
    let (_, active_jobs) = watch::channel(1);
    let ((), log) = logging(protection.follow(active_jobs)).await;
    (log, asked.calls())
}

#[tokio::test]
async fn a_task_that_was_started_by_itself_is_refused_without_a_sound() {
    let failure = json!({"failure": {"Arn": TASK, "Reason": "TASK_NOT_VALID"}});
    let (log, asked) = refused("", 200, failure).await;
    assert_eq!(
        (log, asked),
        (vec!["DEBUG no scale-in protection".into()], 1)
    );
}

#[tokio::test]
async fn a_task_that_was_refused_by_itself_is_not_asked_for_again() {
    let agent = MockServer::start_async().await;
    let asked = agent.mock(|when, then| {
        when.method("PUT");
        then.status(400)
            .json_body(json!({"error": {"Code": "AccessDeniedException", "Message": "no"}}));
    });
    let protection = ScaleInProtection::new(&agent.base_url(), &task("").await);
    let (_jobs, active_jobs) = watch::channel(1);
    let following = protection.follow(active_jobs);
    timeout(Duration::from_secs(60), following).await.unwrap();
    asked.assert_calls(1);
}

#[tokio::test]
async fn a_service_whose_task_cannot_be_protected_is_warned_of() {
    let denied = json!({"error": {"Code": "AccessDeniedException", "Message": "not authorized"}});
    let warning = "WARN scale-in protection not set, jobs may be cut short";
    let (log, asked) = refused("workers", 400, denied).await;
    assert_eq!((log, asked), (vec![warning.into()], 1));
    let trouble = json!({"error": {"Code": "ServerException", "Message": "try again"}});
    let (log, asked) = refused("workers", 500, trouble).await;
    assert_eq!((log, asked), (vec![warning.into()], 3));
}

#[tokio::test]
async fn an_agent_that_does_not_offer_protection_is_done_without() {
    let (log, asked) = refused("", 404, json!("404 page not found")).await;
    assert_eq!(
        (log, asked),
        (vec!["DEBUG no scale-in protection".into()], 1)
    );
}
