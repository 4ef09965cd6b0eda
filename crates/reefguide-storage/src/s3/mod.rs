//! Amazon S3, and servers with the same protocol.

mod answer;
mod body;
mod buffers;
mod concurrency;
mod connection;
mod content_headers;
mod direct;
mod download;
mod error;
mod presign;
mod stream;
mod tries;
mod upload;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObject;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::operation::put_object::PutObject;
use aws_sdk_s3::types::{Object, ServerSideEncryption};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;

use self::buffers::Buffers;
use self::concurrency::Concurrency;
use self::connection::{Connections, ToS3};
use self::direct::Direct;
use self::tries::{CountTries, Tries};
use super::backend::Backend;
use super::content::ContentSource;
use super::metadata::Metadata;
use super::pool::Pool;
use super::reader::ContentStream;
use super::{
    Action, Encryption, ObjectInfo, PresignedUrl, S3Options, StorageClass, StorageError,
    StorageUri, TransferProgress,
};
use crate::Scheme;
use reefguide_transport::atomic_file::Destination;
use reefguide_transport::retry::{RetryObserver, RetryPolicy};

/// How often a request is tried, the first try included.
const TRIES: u32 = 4;
/// The longest delay before the second try; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// The same policy for what the SDK does not retry: direct requests, and content that breaks off.
const RETRIES: RetryPolicy = RetryPolicy::new(FIRST_DELAY)
    .cap(LONGEST_DELAY)
    .tries(TRIES as usize);

/// An S3 server. A clone shares its connections and limits.
#[derive(Clone, Debug)]
pub(crate) struct S3 {
    /// Created at the first use, since that may need certificates and search for credentials.
    client: Arc<OnceCell<Client>>,
    options: Arc<S3Options>,
    gets: Direct,
    puts: Direct,
    /// The server's name in errors.
    endpoint: Arc<str>,
    /// Whether its connections are encrypted.
    encrypted: bool,
    /// How stored objects are encrypted at rest; `None`: the bucket's default.
    encryption: Option<Encryption>,
    concurrency: Arc<Concurrency>,
    /// Does operations on small files, and on pieces of large ones.
    files: Pool,
    /// For those pieces.
    buffers: Buffers,
    /// How long a transfer may go without moving any bytes.
    stall_timeout: Duration,
    retries: Option<Arc<dyn RetryObserver>>,
}

impl S3 {
    pub(crate) fn new(options: S3Options) -> Self {
        let endpoint = options.endpoint.as_deref();
        let encrypted = endpoint.is_none_or(|endpoint| endpoint.starts_with("https:"));
        Self {
            client: Arc::default(),
            gets: Direct::new(&GetObject::new()),
            puts: Direct::new(&PutObject::new()),
            endpoint: endpoint.map_or_else(|| "Amazon S3".to_owned(), host).into(),
            encrypted,
            encryption: options.encryption.clone(),
            concurrency: Arc::new(Concurrency::new(encrypted)),
            files: Pool::default(),
            buffers: Buffers::default(),
            stall_timeout: options.stall_timeout,
            options: options.into(),
            retries: None,
        }
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| Box::pin(connect(&self.options)))
            .await
    }

    /// The server's address, as far as it is known before the first request.
    fn url(&self) -> String {
        let options = &self.options;
        let region = options.region.as_deref().unwrap_or("us-east-1");
        let amazon = || format!("https://s3.{region}.amazonaws.com");
        options.endpoint.clone().unwrap_or_else(amazon)
    }

    /// The encryption to request.
    fn encryption(&self) -> Option<ServerSideEncryption> {
        Some(match self.encryption.as_ref()? {
            Encryption::Aes256 => ServerSideEncryption::Aes256,
            Encryption::Kms { .. } => ServerSideEncryption::AwsKms,
        })
    }

    /// The key to encrypt with.
    fn kms_key(&self) -> Option<String> {
        match self.encryption.as_ref()? {
            Encryption::Aes256 => None,
            Encryption::Kms { key } => key.clone(),
        }
    }

    /// Sends a request.
    fn ask<T, E>(
        &self,
        action: Action,
        uri: &StorageUri,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> impl Future<Output = Result<T, StorageError>>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let request = Box::pin(request);
        async move {
            let mut tries = Tries::begin();
            let answer = tries.count(self.retries.as_deref(), uri, request).await;
            answer.map_err(|error| self.failed(action, uri, &tries, error))
        }
    }

    async fn head(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        let head = self.client().await.head_object();
        let head = head.bucket(uri.bucket()).key(uri.key()).send();
        let head = self.ask(Action::Inspect, uri, head).await?;
        Ok(ObjectInfo {
            uri: uri.clone(),
            size: size(head.content_length),
            etag: head.e_tag,
        })
    }

    async fn page(&self, folder: &StorageUri) -> ListObjectsV2FluentBuilder {
        self.client()
            .await
            .list_objects_v2()
            .bucket(folder.bucket())
            .prefix(folder.folder_prefix())
    }
}

/// Creates the SDK's client.
async fn connect(options: &S3Options) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .operation_attempt_timeout(options.try_timeout)
        .operation_timeout(options.operation_timeout)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(TRIES)
        .with_initial_backoff(FIRST_DELAY)
        .with_max_backoff(LONGEST_DELAY);
    let connections = Connections::default();
    let mut config = identity(options, &connections)
        .await
        .http_client(ToS3(connections))
        .timeout_config(timeouts)
        .retry_config(retries)
        // By default, all clients in a process share a quota of retries, which many concurrent requests use up in a
        // short outage. Here each request has its own limit of tries, and the number of requests is bounded.
        .retry_partition(
            RetryPartition::custom("storage")
                .token_bucket(TokenBucket::unlimited())
                .build(),
        )
        .interceptor(CountTries)
        .stalled_stream_protection(
            // The reader of a download detects when it stalls.
            StalledStreamProtectionConfig::enabled()
                .download_enabled(false)
                .grace_period(options.stall_timeout)
                .build(),
        );
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Client::from_conf(config.build())
}

/// The region and credentials: those in `options`, or those that the AWS default chain finds. The chain is used
/// only if it is needed, since it may wait for a network that is not there.
async fn identity(options: &S3Options, connections: &Connections) -> Builder {
    let region = options.region.clone();
    let region = region.or_else(|| options.endpoint.is_some().then(|| "us-east-1".to_owned()));
    let region = region.map(Region::new);
    let Some(keys) = &options.credentials else {
        let mut chain = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            chain = chain.region(region);
        }
        let chain = chain.http_client(connections.clone());
        return Builder::from(&chain.load().await);
    };
    let token = keys.session_token.as_ref();
    let credentials = Credentials::new(
        &keys.access_key,
        keys.secret_key.expose_secret(),
        token.map(|token| token.expose_secret().to_owned()),
        None,
        "options",
    );
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(region)
}

/// The part of an endpoint that may be shown, without user, password and query.
fn host(endpoint: &str) -> String {
    let (scheme, rest) = match endpoint.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), endpoint),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    scheme + host
}

fn info(folder: &StorageUri, object: Object) -> Result<ObjectInfo, StorageError> {
    Ok(ObjectInfo {
        uri: folder.with_key(object.key.unwrap_or_default())?,
        size: size(object.size),
        etag: object.e_tag,
    })
}

/// A class as the SDK names it.
fn class(class: Option<StorageClass>) -> Option<aws_sdk_s3::types::StorageClass> {
    class.map(|class| class.as_str().into())
}

/// Converts a size from the SDK, which is signed and may be missing.
fn size(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok())
        .unwrap_or_default()
}

#[async_trait]
impl Backend for S3 {
    fn with_retry_observer(&self, retries: &Arc<dyn RetryObserver>) -> Option<Arc<dyn Backend>> {
        Some(Arc::new(Self {
            retries: Some(retries.clone()),
            ..self.clone()
        }))
    }

    fn accept(&self, action: Action, uri: &StorageUri) -> Result<(), StorageError> {
        let problem = match uri.scheme() {
            Scheme::File => "this storage is S3: use `s3://bucket/key`",
            Scheme::S3 if !uri.key().is_empty() && uri.key().trim().is_empty() => {
                "its key has blanks only, which S3 clients do not send: give it a name"
            }
            Scheme::S3 => return Ok(()),
        };
        Err(StorageError::Unsupported {
            action,
            uri: uri.clone(),
            problem,
        })
    }

    async fn put(
        &self,
        to: &StorageUri,
        content: ContentSource,
        metadata: &Metadata,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        upload::put(self, to, content, metadata, progress).await
    }

    async fn get(
        &self,
        from: &StorageUri,
        to: Destination,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        download::to_file(self, from, to, progress).await
    }

    async fn open(&self, from: &StorageUri) -> Result<(ObjectInfo, ContentStream), StorageError> {
        stream::open(self, from).await
    }

    fn list(
        &self,
        folder: &StorageUri,
    ) -> BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>> {
        let state = (self.clone(), folder.clone(), Some(None));
        try_unfold(
            state,
            |(s3, folder, next): (Self, _, Option<Option<String>>)| async move {
                let Some(token) = next else { return Ok(None) };
                let permit = s3.concurrency.request(0).await;
                let page = s3.page(&folder).await;
                let page = page.set_continuation_token(token).send();
                let page = s3.ask(Action::List, &folder, page).await?;
                let next = page.next_continuation_token.map(Some);
                let objects = page
                    .contents
                    .unwrap_or_default()
                    .into_iter()
                    .map(|object| info(&folder, object))
                    .collect::<Result<Vec<_>, _>>()?;
                drop(permit);
                Ok(Some((objects, (s3, folder, next))))
            },
        )
        .boxed()
    }

    async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        let _permit = self.concurrency.request(0).await;
        self.head(uri).await
    }

    async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError> {
        let _permit = self.concurrency.request(0).await;
        let delete = self.client().await.delete_object();
        let delete = delete.bucket(uri.bucket()).key(uri.key()).send();
        self.ask(Action::Delete, uri, delete).await?;
        Ok(())
    }

    async fn presign(
        &self,
        action: Action,
        uri: &StorageUri,
        expires: Duration,
        class: Option<StorageClass>,
    ) -> Result<PresignedUrl, StorageError> {
        presign::presign(self, action, uri, expires, class).await
    }

    /// Lists, since the answer to a `HEAD` request has no body that could explain an error.
    async fn probe(&self, bucket: &StorageUri) -> Result<(), StorageError> {
        let _permit = self.concurrency.request(0).await;
        let page = self.page(bucket).await.max_keys(1).send();
        self.ask(Action::List, bucket, page).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_its_secrets() {
        for (endpoint, shown) in [
            ("http://localhost:9000", "http://localhost:9000"),
            (
                "https://me:pa@ss@store.example/x?y",
                "https://store.example",
            ),
            ("localhost:9000", "localhost:9000"),
        ] {
            assert_eq!(host(endpoint), shown);
        }
    }
}
