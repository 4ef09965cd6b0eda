//! How the S3 server of a lab is reached.

use reefguide_lab::Lab;
use reefguide_worker::storage::{S3Credentials, S3Options};

pub(crate) fn options(lab: &Lab) -> S3Options {
    let env = lab.env();
    let value = |name| {
        let found = env.iter().find(|(known, _)| *known == name);
        found.unwrap().1.clone()
    };
    let mut options = S3Options::default();
    options.endpoint = Some(value("S3_ENDPOINT"));
    options.region = Some(value("AWS_REGION"));
    options.credentials = Some(S3Credentials {
        access_key: value("MINIO_USERNAME"),
        secret_key: value("MINIO_PASSWORD").into(),
        session_token: None,
    });
    options
}
