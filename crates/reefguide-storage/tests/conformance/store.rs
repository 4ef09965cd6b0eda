//! The stores under test, initially empty.

use std::env;
use std::path::PathBuf;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region};
use bytes::Bytes;
use reefguide_lab::Lab;
use reefguide_storage::{S3Options, Storage, StorageError, StorageUri};
use tempfile::TempDir;

use crate::lab_storage;

/// The variable with the URL of another S3 server than the lab's. Its keys and region are where every AWS tool looks for
/// them.
const OTHER_SERVER: &str = "REEFGUIDE_TEST_S3";

/// A store with an empty bucket, and a folder for local files.
pub(crate) struct Store {
    pub(crate) storage: Storage,
    pub(crate) bucket: String,
    local: TempDir,
    _lab: Option<Lab>,
    /// The client of another server, on which a bucket was created.
    made: Option<Client>,
}

impl Store {
    pub(crate) fn folder() -> Self {
        let local = tempfile::tempdir().unwrap();
        Self {
            storage: Storage::folder(local.path().join("store")),
            bucket: "reef".into(),
            local,
            _lab: None,
            made: None,
        }
    }

    /// The lab, unless the environment names another server.
    pub(crate) async fn s3() -> Self {
        match env::var(OTHER_SERVER) {
            Ok(endpoint) => Self::other(endpoint).await,
            Err(_) => Self::lab(|_| {}).await,
        }
    }

    pub(crate) async fn lab(change: impl FnOnce(&mut S3Options)) -> Self {
        let lab = Lab::builder().start().await.unwrap();
        let mut options = lab_storage::options(&lab);
        change(&mut options);
        Self {
            storage: Storage::s3(options),
            bucket: lab.bucket().into(),
            local: tempfile::tempdir().unwrap(),
            _lab: Some(lab),
            made: None,
        }
    }

    async fn other(endpoint: String) -> Self {
        let region = env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".into());
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .endpoint_url(&endpoint);
        let config = Builder::from(&config.load().await).force_path_style(true);
        let client = Client::from_conf(config.build());
        let bucket = format!("reefguide-test-{}", uuid::Uuid::new_v4());
        client.create_bucket().bucket(&bucket).send().await.unwrap();

        let mut options = S3Options::default();
        options.endpoint = Some(endpoint);
        options.region = Some(region);
        Self {
            storage: Storage::s3(options),
            bucket,
            local: tempfile::tempdir().unwrap(),
            _lab: None,
            made: Some(client),
        }
    }

    /// Removes the bucket on another server, with its objects. No multipart upload may be left, if the
    /// server can tell.
    pub(crate) async fn remove(self) {
        if let Some(client) = &self.made {
            let bucket = &self.bucket;
            for object in self.storage.list(&self.uri("")).await.unwrap() {
                self.storage.delete(&object.uri).await.unwrap();
            }
            let uploads = client.list_multipart_uploads().bucket(bucket).send().await;
            if let Ok(open) = uploads {
                assert!(open.uploads().is_empty(), "an upload is open");
            }
            client.delete_bucket().bucket(bucket).send().await.unwrap();
        }
    }

    pub(crate) fn uri(&self, key: &str) -> StorageUri {
        format!("s3://{}/{key}", self.bucket).parse().unwrap()
    }

    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.local.path().join(name)
    }

    pub(crate) async fn put(&self, key: &str, content: impl Into<Bytes>) {
        let stored = self.storage.upload_bytes(content, &self.uri(key)).await;
        assert_eq!(stored.unwrap().uri, self.uri(key));
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        self.storage.read(&self.uri(key), u64::MAX).await
    }

    pub(crate) async fn keys(&self, folder: &str) -> Vec<String> {
        let listed = self.storage.list(&self.uri(folder)).await.unwrap();
        listed
            .into_iter()
            .map(|object| object.uri.key().to_owned())
            .collect()
    }
}
