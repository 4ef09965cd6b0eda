//! The identity of this worker: the ECS task that it runs as, or a generated one.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{RETRIES, TIMEOUT};
use crate::Chain;
use crate::app::platform::plain_http_client;

/// The task that claims are made for, and what else ECS knows about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TaskIdentity {
    /// The task's ARN; outside ECS `local/{host}/{process}-{unique}`, so that the claims of one process can be told from
    /// those of others.
    pub task_arn: String,
    /// The cluster's ARN; outside ECS `local`.
    pub cluster_arn: String,
    /// The task definition's family, if the metadata has it.
    pub family: Option<String>,
    /// The task definition's revision, if the metadata has it.
    pub revision: Option<String>,
    /// The availability zone, if the metadata has it.
    pub availability_zone: Option<String>,
    /// The name of the ECS service that the task belongs to. A task may run without one.
    pub service: Option<String>,
    /// How many processors the task may use, if that is limited.
    pub cpus: Option<f64>,
    /// How much memory the task may use, in bytes, if that is limited.
    pub memory: Option<u64>,
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
    service_name: Option<String>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Default, Deserialize)]
struct Limits {
    #[serde(rename = "CPU")]
    cpus: Option<f64>,
    #[serde(rename = "Memory")]
    memory_mib: Option<u64>,
}

impl TaskIdentity {
    /// Asks the ECS agent at `metadata_uri` (the value of `ECS_CONTAINER_METADATA_URI_V4`), in at most three tries of 2 s
    /// each, and logs the identity. Without an address, or if the agent does not answer, the worker generates an identity
    /// ([`TaskIdentity::local`]); if the agent does not answer, it logs a warning.
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
        match RETRIES.run(|| ask(&url), |_, delay| Some(delay)).await {
            Ok(metadata) => {
                let identity = Self::from(metadata);
                tracing::info!(
                    task_arn = identity.task_arn,
                    cluster_arn = identity.cluster_arn,
                    family = identity.family,
                    revision = identity.revision,
                    availability_zone = identity.availability_zone,
                    service = identity.service,
                    "running as an ECS task"
                );
                identity
            }
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

    /// A generated identity, different for each call.
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
            service: None,
            cpus: None,
            memory: None,
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
            service: metadata.service_name.filter(|name| !name.is_empty()),
            cpus: metadata.limits.cpus,
            memory: metadata.limits.memory_mib.map(|mib| mib << 20),
        }
    }
}

/// The agent names the cluster by its ARN or only by its name. The task's ARN has the rest.
fn cluster_arn(cluster: &str, task_arn: &str) -> String {
    match task_arn.split_once(":task/") {
        Some((account, _)) if !cluster.starts_with("arn:") => {
            format!("{account}:cluster/{cluster}")
        }
        _ => cluster.into(),
    }
}
