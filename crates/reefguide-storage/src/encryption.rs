//! How a server keeps what it is given: encrypted, and in which class.

/// How objects are encrypted where they are kept. S3 decrypts them for everybody who may read them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// With keys of S3's own (SSE-S3).
    Aes256,
    /// With a key of KMS (SSE-KMS), which the credentials must be allowed to use. Whether a bucket key
    /// saves calls of KMS is the bucket's to say.
    Kms {
        /// The key's id, ARN or alias. `None`: the account's own key for S3.
        key: Option<String>,
    },
}

/// What keeping and reading objects costs, and how many places hold them.
///
/// Only classes whose objects can be read at once: `GLACIER` and `DEEP_ARCHIVE` are none of them, as outputs
/// are there to be downloaded and inputs to be read. A lifecycle rule of the bucket may move objects there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageClass {
    /// `STANDARD`: for objects that are read often.
    Standard,
    /// `INTELLIGENT_TIERING`: S3 finds out how often they are read.
    IntelligentTiering,
    /// `STANDARD_IA`: for objects that are seldom read, kept for 30 days and of 128 KiB at least, as smaller
    /// and shorter ones cost as much.
    StandardIa,
    /// `ONEZONE_IA`: the same, in one place only.
    OnezoneIa,
    /// `GLACIER_IR`: for objects that are hardly read, kept for 90 days at least.
    GlacierInstantRetrieval,
    /// `REDUCED_REDUNDANCY`: for servers other than Amazon's, which advises against it.
    ReducedRedundancy,
}

impl StorageClass {
    /// All of them.
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
