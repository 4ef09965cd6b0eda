//! How a server encrypts objects, and in which class it stores them.

/// How a server encrypts objects at rest. S3 decrypts them for everyone who may read them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// With S3's own keys (SSE-S3).
    Aes256,
    /// With a KMS key (SSE-KMS), which the credentials must be allowed to use. The bucket's configuration decides
    /// whether a bucket key saves calls to KMS.
    Kms {
        /// The key's id, ARN or alias. `None`: the account's default key for S3.
        key: Option<String>,
    },
}

/// A class of objects: what it costs to store and to read them, and in how many places they are stored.
///
/// Only classes whose objects can be read immediately, so not `GLACIER` and `DEEP_ARCHIVE`: outputs
/// are there to be downloaded, and inputs to be read. A lifecycle rule of the bucket may still move objects there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageClass {
    /// `STANDARD`: for objects that are read often.
    Standard,
    /// `INTELLIGENT_TIERING`: S3 observes how often they are read.
    IntelligentTiering,
    /// `STANDARD_IA`: for objects that are rarely read, kept for at least 30 days, and of at least 128 KiB. Others
    /// are charged as if they were.
    StandardIa,
    /// `ONEZONE_IA`: the same, in one availability zone only.
    OnezoneIa,
    /// `GLACIER_IR`: for objects that are hardly ever read, kept for at least 90 days.
    GlacierInstantRetrieval,
    /// `REDUCED_REDUNDANCY`: for servers other than Amazon S3, where it is discouraged.
    ReducedRedundancy,
}

impl StorageClass {
    /// All classes.
    pub const ALL: [Self; 6] = [
        Self::Standard,
        Self::IntelligentTiering,
        Self::StandardIa,
        Self::OnezoneIa,
        Self::GlacierInstantRetrieval,
        Self::ReducedRedundancy,
    ];

    /// Its name in S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::StandardIa => "STANDARD_IA",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::GlacierInstantRetrieval => "GLACIER_IR",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
        }
    }
}
