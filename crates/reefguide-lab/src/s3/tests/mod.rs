//! Tests of the S3 server with its clients, the AWS SDK and plain HTTP, over real sockets.

mod buckets;
mod checksums;
mod conditions;
mod durability;
mod keys;
mod listing;
mod multipart;
mod objects;
mod presigned;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials as AwsCredentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation;
use aws_sdk_s3::primitives::ByteStream;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Credentials, ObjectStore, service};

const BUCKET: &str = "reef";
const REGION: &str = "ap-southeast-2";
/// The minimum size of every part but the last.
const PART: usize = 5 * 1024 * 1024;

/// A server with one empty bucket. Dropping it removes its folder.
struct Server {
    client: Client,
    store: Arc<ObjectStore>,
    address: SocketAddr,
    folder: TempDir,
    accepting: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let store = ObjectStore::open(folder.path()).unwrap();
        store.create_bucket(BUCKET).unwrap();
        let service = service(Arc::clone(&store), credentials());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let service = service.clone();
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self {
            client: Client::from_conf(client_config(address).build()),
            store,
            address,
            folder,
            accepting,
        }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> String {
        let put = self.put_object(key);
        let put = put.body(ByteStream::from(body.into())).send().await;
        put.unwrap_or_else(|error| panic!("{key:?}: {error:?}"))
            .e_tag
            .unwrap()
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let get = self.get_object(key);
        let body = get.send().await.unwrap().body;
        body.collect().await.unwrap().to_vec()
    }

    /// The number of files in the store.
    fn files(&self) -> usize {
        files(self.folder.path())
    }
}

/// Operations on [`BUCKET`], and most of them on one key in it.
macro_rules! operations {
    ($($name:ident($($key:ident)?) -> $builder:ident,)*) => {
        impl Server {
            $(fn $name(&self $(, $key: impl Into<String>)?) -> operation::$name::builders::$builder {
                self.client.$name().bucket(BUCKET)$(.$key($key))?
            })*
        }
    };
}

operations! {
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

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder.join("blobs")).unwrap().count()
}

fn client_config(address: SocketAddr) -> aws_sdk_s3::config::Builder {
    let credentials = credentials();
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .credentials_provider(AwsCredentials::new(
            credentials.access_key,
            credentials.secret_key,
            None,
            None,
            "test",
        ))
}

fn credentials() -> Credentials {
    Credentials {
        access_key: "lab".to_owned(),
        secret_key: "lab-secret".to_owned(),
    }
}

/// The code of an error response.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E>>,
) -> String {
    let error = answer.unwrap_err();
    error.code().unwrap_or("no code").to_owned()
}

/// The status of an error response.
fn status<T: std::fmt::Debug, E: std::fmt::Debug>(answer: Result<T, SdkError<E>>) -> u16 {
    let error = answer.unwrap_err();
    error.raw_response().unwrap().status().as_u16()
}

/// Pseudorandom bytes.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}
