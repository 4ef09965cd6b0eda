//! The calls of an administrator.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Client;
use crate::error::{ApiError, Issue};
use crate::job::JobType;
use crate::wire::TimedOutJobs;

#[derive(Deserialize)]
struct UpdateAnswer {
    updated: serde_json::Map<String, Value>,
}

impl Client {
    /// Replaces the data specification (administrators only): regions and their criteria, in the API's form. Returns
    /// what the API says it updated. Leave absent fields out; `null` is not accepted.
    pub async fn update_data_specification(
        &self,
        specification: &Value,
    ) -> Result<Value, ApiError> {
        let path = "/admin/data-specification";
        let answer = self
            .post("POST /admin/data-specification", path, Some(specification))
            .await?;
        let updated = answer.json::<UpdateAnswer>()?.updated;
        Ok(Value::Object(updated))
    }

    /// Sets jobs that are older than `threshold` to `TIMED_OUT` (administrators only): jobs of some types, or of all. A
    /// threshold of zero is refused with [`ApiError::Invalid`] before anything is sent.
    pub async fn timeout_jobs(
        &self,
        threshold: Duration,
        job_types: &[JobType],
    ) -> Result<TimedOutJobs, ApiError> {
        let (call, path) = ("POST /admin/timeout-jobs", "/admin/timeout-jobs");
        let name = "timeoutThresholdMinutes";
        if threshold.is_zero() {
            return Err(ApiError::Invalid {
                call: call.to_owned(),
                issues: vec![Issue::at(name, "0 is not above 0; give a longer threshold")],
            });
        }
        let mut body = json!({ name: threshold.as_secs_f64() / 60.0 });
        if !job_types.is_empty() {
            body["jobTypes"] = json!(job_types);
        }
        self.post(call, path, Some(&body)).await?.json()
    }
}
