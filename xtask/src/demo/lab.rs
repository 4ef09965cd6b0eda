//! The lab, with the job type that only the example worker has.

use std::path::Path;
use std::process::Stdio;

use reefguide_lab::{JobTypeSpec, Lab};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::jobs::DEPTH_SUMMARY;
use crate::failure::{Doing, Failure};
use crate::process::Process;

/// The lab's account for submitters.
pub(super) const SUBMITTER: &str = "user@email.com";
pub(super) const PASSWORD: &str = "password";

/// Starts a lab that validates payloads and results with the schemas of the worker `program`.
pub(super) async fn start(program: &Path, scratch: &Path) -> Result<Lab, Failure> {
    let mut schemas = schemas(program).await?;
    let spec = JobTypeSpec::new(DEPTH_SUMMARY)
        .input(schemas["input"].take())
        .result(schemas["output"].take());
    Lab::builder()
        .data(scratch.join("lab"))
        .job_type(spec)
        .start()
        .await
        .doing("starting the lab")
}

/// The input and output schemas that the worker prints for its job type.
async fn schemas(program: &Path) -> Result<Value, Failure> {
    let mut command = Command::new(program);
    command
        .args(["schema", DEPTH_SUMMARY])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let name = "example-worker schema";
    let mut process = Process::start(name, &mut command)?;
    let mut text = Vec::new();
    if let Some(mut stdout) = process.take_stdout() {
        stdout.read_to_end(&mut text).await.doing(name)?;
    }
    let status = process.wait().await?;
    if !status.success() {
        return Err(Failure::new(format!("{name}: {status}")));
    }
    let mut schemas: Value = serde_json::from_slice(&text).doing(name)?;
    Ok(schemas[DEPTH_SUMMARY].take())
}
