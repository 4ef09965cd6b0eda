//! A worker that runs as a task of an ECS service.

use httpmock::MockServer;
use serde_json::json;

use crate::fixture::{final_status, lab, submit_test, worker_for};

#[tokio::test]
async fn a_worker_logs_its_task_and_protects_it_while_a_job_runs() {
    let agent = MockServer::start_async().await;
    agent.mock(|when, then| {
        when.method("GET").path("/v4/abc/task");
        then.status(200).json_body(json!({
            "TaskARN": "arn:aws:ecs:ap-southeast-2:123456789012:task/reefguide/0f9c",
            "Cluster": "reefguide", "Family": "worker", "Revision": "7", "ServiceName": "workers",
            "AvailabilityZone": "ap-southeast-2a", "Limits": {"CPU": 0.25, "Memory": 512},
        }));
    });
    let protected = agent.mock(|when, then| {
        when.method("PUT")
            .path("/api/abc/task-protection/v1/state")
            .json_body(json!({"ProtectionEnabled": true, "ExpiresInMinutes": 30}));
        then.status(200)
            .json_body(json!({"protection": {"ProtectionEnabled": true}}));
    });
    let lab = lab().await;
    let job = submit_test(&lab, 7);
    let program = worker_for(&lab)
        .env("ECS_CONTAINER_METADATA_URI_V4", agent.url("/v4/abc"))
        .env("ECS_AGENT_URI", agent.url("/api/abc"))
        .env(
            "LOG_LEVEL",
            "info,reefguide_worker::app::platform::ecs=debug",
        );
    let mut worker = program.start(&[]);
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    worker.logs("scale-in protection set").await;
    let log = worker.stop().await.log();
    protected.assert_calls_async(1).await;
    let line = |message: &str| log.iter().find(|line| line["message"] == message).unwrap();
    let task = line("running as an ECS task");
    for (field, value) in [
        ("family", "worker"),
        ("revision", "7"),
        ("availability_zone", "ap-southeast-2a"),
        ("service", "workers"),
    ] {
        assert_eq!(task[field], value, "{task}");
    }
    assert_eq!(line("limits")["task_cpus"], 0.25);
    assert_eq!(line("limits")["task_memory_bytes"], 512 << 20);
}
