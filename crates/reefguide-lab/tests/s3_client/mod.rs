//! An S3 client for a lab, with the settings that the lab gives a worker.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use reefguide_lab::Lab;
use serde_json::Value;

pub(crate) fn s3_client(lab: &Lab) -> Client {
    Client::from_conf(s3_config(lab).build())
}

/// The settings of [`s3_client`].
pub(crate) fn s3_config(lab: &Lab) -> Builder {
    let env = lab.env();
    let value = |wanted: &str| {
        let found = env.iter().find(|(name, _)| *name == wanted);
        found.unwrap().1.clone()
    };
    let (id, secret) = (value("MINIO_USERNAME"), value("MINIO_PASSWORD"));
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(value("AWS_REGION")))
        .endpoint_url(value("S3_ENDPOINT"))
        .credentials_provider(Credentials::new(id, secret, None, None, "lab"))
        .retry_config(RetryConfig::disabled())
        .force_path_style(true)
}

/// The prefix of an assignment's keys.
pub(crate) fn prefix<'a>(lab: &Lab, assignment: &'a Value) -> &'a str {
    let uri = assignment["storage_uri"].as_str().unwrap();
    let bucket = format!("s3://{}/", lab.bucket());
    uri.strip_prefix(&bucket).unwrap()
}

/// Stores `content` under `key` in the lab's bucket.
pub(crate) async fn put(lab: &Lab, key: &str, content: &'static [u8]) {
    let put = s3_client(lab).put_object().bucket(lab.bucket()).key(key);
    put.body(content.to_vec().into()).send().await.unwrap();
}
