//! `TEST`: ReefGuide's job type for testing a deployment.

use reefguide_worker::prelude::*;

/// The payload, as the API checks it: `{"id": number}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Any number, to distinguish one payload from another.
    id: f64,
}

/// The result: `{}`.
#[derive(Serialize, JsonSchema)]
pub struct Output {}

/// Writes the number to a file, or panics if it is 13, to show how such a job fails.
pub struct Test;

impl JobHandler for Test {
    const JOB_TYPE: &'static str = "TEST";
    type Input = Input;
    type Output = Output;

    async fn handle(&self, input: Input, ctx: &JobContext) -> Result<Output, JobError> {
        assert!(input.id != 13.0, "13 brings bad luck");
        ctx.outputs()
            .write_json("test.json", &json!({ "id": input.id }))
            .await?;
        Ok(Output {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reefguide_worker::testing::Harness;

    #[tokio::test]
    async fn it_writes_the_number() {
        let payload = json!({ "id": 7 });
        let finished = Harness::handler(Test).run(payload).await.unwrap();
        assert_eq!(finished.result(), &json!({}));
        let written: serde_json::Value =
            serde_json::from_slice(&finished.output("test.json").unwrap()).unwrap();
        assert_eq!(written, json!({ "id": 7.0 }));
    }

    #[tokio::test]
    async fn a_payload_of_another_form_is_refused_with_the_place() {
        let payload = json!({ "id": "one" });
        let error = Harness::handler(Test).run(payload).await.unwrap_err();
        assert!(error.to_string().contains("`id`"), "{error}");
        assert!(!error.is_retryable());
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let payload = json!({ "id": 13 });
        let error = Harness::handler(Test).run(payload).await.unwrap_err();
        assert_eq!(error.to_string(), "handler panicked: 13 brings bad luck");
    }
}
