//! How to reach an S3 server.

use std::time::Duration;

use secrecy::SecretString;

use crate::{Encryption, StorageClass};

/// How to reach an S3 server. The default is Amazon S3, with the region and credentials of the environment.
///
/// ```
/// use reefguide_storage::S3Options;
///
/// let options = S3Options::default().with_endpoint("http://localhost:9000".to_owned());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct S3Options {
    /// The server's URL, such as `http://localhost:9000`. Requests have the bucket in their path.
    /// `None`: Amazon S3.
    pub endpoint: Option<String>,
    /// The region. `None`: the one that the AWS default chain finds, or `us-east-1` if there is an endpoint.
    pub region: Option<String>,
    /// The keys to sign with. `None`: those that the AWS default chain finds (environment, profile, task
    /// role), renewed when they expire.
    pub credentials: Option<S3Credentials>,
    /// How stored objects are encrypted at rest. `None`: the bucket's default; Amazon S3 encrypts
    /// everything, with its own keys if the bucket has no other default.
    pub encryption: Option<Encryption>,
    /// The class of stored objects, unless [`Storage::with_storage_class`](super::Storage::with_storage_class)
    /// changes it. `None`: the server's default, on Amazon S3 `STANDARD`.
    pub storage_class: Option<StorageClass>,
    /// How long connecting may take. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long one try of a request may take until its answer begins. Default: 60 s.
    pub try_timeout: Duration,
    /// How long all tries of a request may take together. Default: 4 min.
    pub operation_timeout: Duration,
    /// How long a transfer may go without moving any bytes. Default: 20 s.
    pub stall_timeout: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: None,
            encryption: None,
            storage_class: None,
            connect_timeout: Duration::from_secs(5),
            try_timeout: Duration::from_secs(60),
            operation_timeout: Duration::from_secs(240),
            stall_timeout: Duration::from_secs(20),
        }
    }
}

impl S3Options {
    /// The same with this [`endpoint`](Self::endpoint).
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<Option<String>>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// The same with this [`region`](Self::region).
    #[must_use]
    pub fn with_region(mut self, region: impl Into<Option<String>>) -> Self {
        self.region = region.into();
        self
    }

    /// The same with these [`credentials`](Self::credentials).
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl Into<Option<S3Credentials>>) -> Self {
        self.credentials = credentials.into();
        self
    }

    /// The same with this [`encryption`](Self::encryption).
    #[must_use]
    pub fn with_encryption(mut self, encryption: impl Into<Option<Encryption>>) -> Self {
        self.encryption = encryption.into();
        self
    }

    /// The same with this [`storage_class`](Self::storage_class).
    #[must_use]
    pub fn with_storage_class(mut self, class: impl Into<Option<StorageClass>>) -> Self {
        self.storage_class = class.into();
        self
    }

    /// The same with this [`stall_timeout`](Self::stall_timeout).
    #[must_use]
    pub fn with_stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }
}

/// The keys that requests are signed with. The secret ones are never printed.
#[derive(Clone, Debug)]
pub struct S3Credentials {
    /// The access key, which names the pair.
    pub access_key: String,
    /// The secret key.
    pub secret_key: SecretString,
    /// The session token of temporary keys.
    pub session_token: Option<SecretString>,
}
