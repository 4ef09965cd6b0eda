//! The worker that the tests of this package run as a process: two small handlers.

use reefguide_worker::prelude::*;

/// The payload of `TEST`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Any number; it only tells one payload from another.
    id: f64,
}

/// The result of `TEST`.
#[derive(Serialize, JsonSchema)]
struct Output {}

/// Writes the number to a file, or panics if it is 13.
struct Test;

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

/// The payload of `COPY`.
#[derive(Deserialize, JsonSchema)]
struct CopyInput {
    /// The object to read.
    source: StorageUri,
}

/// The result of `COPY`.
#[derive(Serialize, JsonSchema)]
struct CopyOutput {
    /// The size of the object.
    bytes: u64,
}

/// Reads an object from storage into an output.
struct Copy;

impl JobHandler for Copy {
    const JOB_TYPE: &'static str = "COPY";
    type Input = CopyInput;
    type Output = CopyOutput;

    async fn handle(&self, input: CopyInput, ctx: &JobContext) -> Result<CopyOutput, JobError> {
        let file = ctx.outputs().path("copy")?;
        let bytes = ctx
            .storage()
            .download_file(&input.source, &file)
            .await?
            .size;
        tracing::info!(bytes, "copied");
        Ok(CopyOutput { bytes })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    reefguide_worker::run(Registry::new().handler(Test).handler(Copy))
        .version(env!("CARGO_PKG_VERSION"))
        .await
}
