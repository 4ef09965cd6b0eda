//! Who this worker is: the ECS task it runs as, or a name of its own.

use std::time::Duration;

use backon::Retryable;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::plain_http_client;
use crate::Chain;
use crate::retry::RetryPolicy;

const TIMEOUT: Duration = Duration::from_secs(2);
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_millis(250)).tries(3);

/// What a claim says about who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskIdentity {
    /// The task's ARN; off ECS `local/{host}/{process}-{unique}`, so that the claims of one process
    /// can be told apart.
    pub task_arn: String,
    /// The cluster's ARN; off ECS `local`.
    pub cluster_arn: String,
    /// The task definition's family, where the metadata has it.
    pub family: Option<String>,
    /// The task definition's revision, where the metadata has it.
    pub revision: Option<String>,
    /// The availability zone, where the metadata has it.
    pub availability_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "TaskARN")]
    task_arn: String,
    cluster: String,
    family: Option<String>,
    /// A string in AWS's documentation, a number for some agents.
    revision: Option<Value>,
    availability_zone: Option<String>,
}

impl TaskIdentity {
    /// Asks the ECS agent at `metadata_uri` (the value of `ECS_CONTAINER_METADATA_URI_V4`), three
    /// times with 2 s each. Without an address, or if the agent does not answer, the identity is
    /// [`TaskIdentity::local`], and the log says so once.
    pub async fn discover(metadata_uri: Option<&str>) -> Self {
        let Some(uri) = metadata_uri else {
            let identity = Self::local();
            tracing::info!(
                task_arn = identity.task_arn,
                "not on ECS, claims use a local identity"
            );
            return identity;
        };
        let url = format!("{}/task", uri.trim_end_matches('/'));
        match (|| ask(&url)).retry(RETRIES).await {
            Ok(metadata) => metadata.into(),
            Err(error) => {
                let identity = Self::local();
                tracing::warn!(
                    task_arn = identity.task_arn,
                    error = %Chain(&error.without_url()),
                    url,
                    "no answer from the ECS agent, claims use a local identity"
                );
                identity
            }
        }
    }

    /// An identity off ECS, unique to each call.
    pub fn local() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = match host.trim() {
            "" => "unknown-host",
            host => host,
        };
        let process = std::process::id();
        Self {
            task_arn: format!("local/{host}/{process}-{}", Uuid::new_v4().simple()),
            cluster_arn: "local".into(),
            family: None,
            revision: None,
            availability_zone: None,
        }
    }
}

async fn ask(url: &str) -> reqwest::Result<Metadata> {
    let response = plain_http_client(TIMEOUT)?.get(url).send().await?;
    response.error_for_status()?.json().await
}

impl From<Metadata> for TaskIdentity {
    fn from(metadata: Metadata) -> Self {
        Self {
            cluster_arn: cluster_arn(&metadata.cluster, &metadata.task_arn),
            task_arn: metadata.task_arn,
            family: metadata.family,
            revision: metadata.revision.and_then(|revision| match revision {
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            }),
            availability_zone: metadata.availability_zone,
        }
    }
}

/// The cluster may be named by its ARN or by its bare name; the task's ARN has the rest.
fn cluster_arn(cluster: &str, task_arn: &str) -> String {
    match task_arn.split_once(":task/") {
        Some((account, _)) if !cluster.starts_with("arn:") => {
            format!("{account}:cluster/{cluster}")
        }
        _ => cluster.into(),
    }
}
