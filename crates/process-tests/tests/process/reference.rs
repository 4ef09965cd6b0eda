//! The environment of the reference workers is enough.

use reefguide_lab::Lab;

use crate::fixture::{lab, run_jobs, status, submit_test};
use crate::program::Program;

/// The reference `.env`, variable for variable.
fn reference(lab: &Lab) -> [(&'static str, String); 9] {
    [
        ("API_ENDPOINT", lab.api_endpoint().to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("JOB_TYPES", "TEST".to_owned()),
        ("WORKER_USERNAME", "worker@email.com".to_owned()),
        ("WORKER_PASSWORD", "password".to_owned()),
        ("JULIA_DEBUG", "ReefGuideWorker".to_owned()),
        ("S3_ENDPOINT", lab.s3_endpoint().to_owned()),
        ("MINIO_USERNAME", "minioadmin".to_owned()),
        ("MINIO_PASSWORD", "minioadmin".to_owned()),
    ]
}

async fn does_a_job(lab: &Lab, program: Program) {
    let job = submit_test(lab, 7);
    run_jobs(lab, &program, &[job]).await;
    assert_eq!(status(lab, job), "SUCCEEDED");
}

#[tokio::test]
async fn the_reference_environment_is_enough_for_a_job() {
    let lab = lab().await;
    let program = reference(&lab)
        .into_iter()
        .fold(Program::bare(), |program, (name, value)| {
            program.env(name, value)
        });
    does_a_job(&lab, program).await;
}

#[tokio::test]
async fn the_reference_env_file_is_enough_for_a_job() {
    let lab = lab().await;
    let lines = reference(&lab).map(|(name, value)| format!("{name}={value}\n"));
    does_a_job(&lab, Program::bare().file(".env", &lines.concat())).await;
}
