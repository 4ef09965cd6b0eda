//! A lab whose S3 server is tested, and what the tests share.

use std::fs;
use std::path::PathBuf;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation;
use aws_sdk_s3::primitives::ByteStream;
use reefguide_lab::{Lab, Outputs};
use tempfile::TempDir;

use crate::s3_client::s3_client;

pub(crate) const BUCKET: &str = "reef";
/// The minimum size of every part but the last.
pub(crate) const PART: usize = 5 * 1024 * 1024;

/// A lab with one empty bucket. Dropping it removes its folder.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) lab: Lab,
    pub(crate) folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let lab = Lab::builder().data(folder.path()).bucket(BUCKET);
        let lab = lab.start().await.unwrap();
        Self {
            client: s3_client(&lab),
            lab,
            folder,
        }
    }

    /// Another lab on the same folder, after this one has shut down.
    pub(crate) async fn restarted(self) -> Self {
        self.lab.shutdown().await;
        Self::start_in(self.folder).await
    }

    /// The address of the S3 server, without a scheme.
    pub(crate) fn address(&self) -> &str {
        self.lab.s3_endpoint().trim_start_matches("http://")
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> String {
        let put = self.put_object(key);
        let put = put.body(ByteStream::from(body.into())).send().await;
        put.unwrap_or_else(|error| panic!("{key:?}: {error:?}"))
            .e_tag
            .unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let get = self.get_object(key);
        let body = get.send().await.unwrap().body;
        body.collect().await.unwrap().to_vec()
    }

    /// The keys of all objects in [`BUCKET`], as an audit finds them: none is the output of a job.
    pub(crate) fn keys(&self) -> Vec<String> {
        let found = self.lab.audit(|_| Outputs::new()).unwrap();
        let found = found.iter().map(ToString::to_string);
        let key = |line: String| {
            let key = line.strip_prefix("leftovers: the object ")?;
            let key = key.strip_suffix(" is not an output of a job that succeeded")?;
            Some(key.to_owned())
        };
        found.filter_map(key).collect()
    }

    /// The folder with the bytes of the objects.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.folder.path().join("s3").join("blobs")
    }

    /// The number of files with the bytes of objects and parts.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(self.blobs()).unwrap().count()
    }
}

/// Operations on [`BUCKET`], and most of them on one key in it.
macro_rules! operations {
    ($($name:ident($($key:ident)?) -> $builder:ident,)*) => {
        impl Server {
            $(pub(crate) fn $name(&self $(, $key: impl Into<String>)?) -> operation::$name::builders::$builder {
                self.client.$name().bucket(BUCKET)$(.$key($key))?
            })*
        }
    };
}

operations! {
    head_bucket() -> HeadBucketFluentBuilder,
    put_object(key) -> PutObjectFluentBuilder,
    get_object(key) -> GetObjectFluentBuilder,
    head_object(key) -> HeadObjectFluentBuilder,
    delete_object(key) -> DeleteObjectFluentBuilder,
    copy_object(key) -> CopyObjectFluentBuilder,
    create_multipart_upload(key) -> CreateMultipartUploadFluentBuilder,
    upload_part(key) -> UploadPartFluentBuilder,
    upload_part_copy(key) -> UploadPartCopyFluentBuilder,
    complete_multipart_upload(key) -> CompleteMultipartUploadFluentBuilder,
    abort_multipart_upload(key) -> AbortMultipartUploadFluentBuilder,
    list_parts(key) -> ListPartsFluentBuilder,
    list_objects_v2() -> ListObjectsV2FluentBuilder,
    list_objects() -> ListObjectsFluentBuilder,
    list_multipart_uploads() -> ListMultipartUploadsFluentBuilder,
}

/// The code of an error response.
pub(crate) fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E>>,
) -> String {
    let error = answer.unwrap_err();
    error.code().unwrap_or("no code").to_owned()
}

/// The status of an error response.
pub(crate) fn status<T: std::fmt::Debug, E: std::fmt::Debug>(
    answer: Result<T, SdkError<E>>,
) -> u16 {
    let error = answer.unwrap_err();
    error.raw_response().unwrap().status().as_u16()
}

/// Pseudorandom bytes.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}
