//! The options for a lab's S3 server.

use reefguide_lab::Lab;
use reefguide_storage::{S3Credentials, S3Options};

pub(crate) fn options(lab: &Lab) -> S3Options {
    options_at(lab.s3_endpoint())
}

/// The same for a process that knows only its address.
pub(crate) fn options_at(endpoint: &str) -> S3Options {
    let mut options = S3Options::default();
    options.endpoint = Some(endpoint.into());
    options.credentials = Some(S3Credentials {
        access_key: "minioadmin".into(),
        secret_key: "minioadmin".into(),
        session_token: None,
    });
    options
}
