//! The lab's S3 server as the storage of a worker.

use reefguide_lab::Lab;
use reefguide_worker::storage::{S3Credentials, S3Options, Storage};

pub(crate) fn of(lab: &Lab) -> Storage {
    let mut options = S3Options::default();
    options.endpoint = Some(lab.s3_endpoint().to_owned());
    options.region = Some(env(lab, "AWS_REGION"));
    options.credentials = Some(S3Credentials {
        access_key: env(lab, "MINIO_USERNAME"),
        secret_key: env(lab, "MINIO_PASSWORD").into(),
        session_token: None,
    });
    Storage::s3(options)
}

/// The value of a variable that the lab sets for its workers.
pub(crate) fn env(lab: &Lab, name: &str) -> String {
    let mut env = lab.env().into_iter();
    env.find_map(|(known, value)| (known == name).then_some(value))
        .unwrap_or_default()
}
