use httpmock::MockServer;
use reefguide_worker::service::ecs::TaskIdentity;
use reefguide_worker::service::telemetry::{TelemetryOptions, subscriber};
use serde_json::{Value, json};

use crate::Lines;

const TASK: &str = "arn:aws:ecs:ap-southeast-2:123456789012:task/reefguide/0f9c";
const CLUSTER: &str = "arn:aws:ecs:ap-southeast-2:123456789012:cluster/reefguide";

/// The identity, and what the log says about it: each line's level and message.
async fn logged(metadata_uri: Option<&str>) -> (TaskIdentity, Vec<String>) {
    let lines = Lines::default();
    let subscriber = subscriber(&TelemetryOptions::default(), lines.writer(), false).unwrap();
    let _logging = tracing::subscriber::set_default(subscriber);
    let identity = TaskIdentity::discover(metadata_uri).await;
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!(
            "{} {}",
            line["level"].as_str().unwrap(),
            line["message"].as_str().unwrap()
        )
    };
    (identity, lines.text().lines().map(line).collect())
}

async fn discovered(metadata: Value) -> TaskIdentity {
    let agent = MockServer::start_async().await;
    let asked = agent.mock(|when, then| {
        when.method("GET").path("/v4/abc/task");
        then.status(200).json_body(metadata);
    });
    let identity = TaskIdentity::discover(Some(&agent.url("/v4/abc"))).await;
    asked.assert_calls(1);
    identity
}

#[tokio::test]
async fn the_task_is_who_the_agent_says() {
    let identity = discovered(json!({
        "TaskARN": TASK, "Cluster": CLUSTER, "Family": "worker", "Revision": "7",
        "AvailabilityZone": "ap-southeast-2a", "LaunchType": "FARGATE",
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
