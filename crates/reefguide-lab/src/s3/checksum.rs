//! Checksums of objects: one of five algorithms, over the whole object or over the checksums of its parts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc_fast::CrcAlgorithm;
use s3s::checksum::ChecksumHasher;
use s3s::dto::ChecksumType;
use serde::{Deserialize, Serialize};

/// A checksum algorithm of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// The checksum of an object or a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    /// Base64. A composite checksum ends with `-` and the number of parts.
    pub(super) value: String,
    /// Whether it is computed from the checksums of the parts instead of the bytes.
    pub(super) composite: bool,
}

impl Algorithm {
    const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name in requests and responses.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm of this name, in any case.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header or trailer for checksums of this algorithm.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm whose header is `name`.
    pub(super) fn from_header(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// Whether a multipart upload gets a composite checksum if the client requests the type `asked`. `None` if the algorithm
    /// does not have that type.
    pub(super) fn composite(self, asked: Option<&str>) -> Option<bool> {
        match asked {
            None => Some(self != Self::Crc64Nvme),
            Some(ChecksumType::COMPOSITE) => (self != Self::Crc64Nvme).then_some(true),
            Some(ChecksumType::FULL_OBJECT) => self.crc().map(|_| false),
            Some(_) => None,
        }
    }

    /// Starts a checksum.
    pub(super) fn hasher(self) -> Hasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Self::Crc32 => hasher.crc32 = Some(Default::default()),
            Self::Crc32c => hasher.crc32c = Some(Default::default()),
            Self::Crc64Nvme => hasher.crc64nvme = Some(Default::default()),
            Self::Sha1 => hasher.sha1 = Some(Default::default()),
            Self::Sha256 => hasher.sha256 = Some(Default::default()),
        }
        Hasher {
            algorithm: self,
            hasher,
        }
    }

    /// Computes the checksum of an object from `parts`: the checksum and the size in bytes of each. `None` if a part's
    /// checksum is not of this algorithm.
    pub(super) fn combine(self, parts: &[(String, u64)], composite: bool) -> Option<Checksum> {
        let mut raw = Vec::with_capacity(parts.len());
        for (value, size) in parts {
            raw.push((BASE64_STANDARD.decode(value).ok()?, *size));
        }
        if composite {
            let mut hasher = self.hasher();
            for (bytes, _) in &raw {
                hasher.update(bytes);
            }
            let mut checksum = hasher.finish();
            checksum.value = format!("{}-{}", checksum.value, parts.len());
            checksum.composite = true;
            return Some(checksum);
        }
        let crc = self.crc()?;
        let width = if crc == CrcAlgorithm::Crc64Nvme { 8 } else { 4 };
        let mut whole = crc_fast::checksum(crc, b"");
        for (bytes, size) in raw {
            let mut padded = [0; 8];
            padded
                .get_mut(8 - width..)?
                .copy_from_slice(bytes.get(..width)?);
            whole = crc_fast::checksum_combine(crc, whole, u64::from_be_bytes(padded), size);
        }
        Some(Checksum {
            algorithm: self,
            value: BASE64_STANDARD.encode(whole.to_be_bytes().get(8 - width..)?),
            composite: false,
        })
    }
}

/// A checksum that is being computed.
pub(super) struct Hasher {
    algorithm: Algorithm,
    hasher: ChecksumHasher,
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub(super) fn finish(self) -> Checksum {
        let sums = self.hasher.finalize();
        Checksum {
            algorithm: self.algorithm,
            value: sent_checksums!(sums)
                .map(|(_, value)| value)
                .next()
                .unwrap_or_default(),
            composite: false,
        }
    }
}

impl Checksum {
    pub(super) fn checksum_type(&self) -> ChecksumType {
        checksum_type(self.composite)
    }
}

/// S3's name for the type of a checksum.
pub(super) fn checksum_type(composite: bool) -> ChecksumType {
    ChecksumType::from_static(if composite {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    })
}

/// The checksums in a struct of S3 that has one field for each algorithm.
macro_rules! sent_checksums {
    ($from:expr) => {{
        use $crate::s3::checksum::Algorithm;
        [
            (Algorithm::Crc32, $from.checksum_crc32.clone()),
            (Algorithm::Crc32c, $from.checksum_crc32c.clone()),
            (Algorithm::Crc64Nvme, $from.checksum_crc64nvme.clone()),
            (Algorithm::Sha1, $from.checksum_sha1.clone()),
            (Algorithm::Sha256, $from.checksum_sha256.clone()),
        ]
        .into_iter()
        .filter_map(|(algorithm, value)| Some((algorithm, value?)))
    }};
}
pub(super) use sent_checksums;

/// Sets the field for a checksum's algorithm.
macro_rules! set_checksum {
    ($into:expr, $algorithm:expr, $value:expr) => {{
        use $crate::s3::checksum::Algorithm;
        let value = Some($value);
        match $algorithm {
            Algorithm::Crc32 => $into.checksum_crc32 = value,
            Algorithm::Crc32c => $into.checksum_crc32c = value,
            Algorithm::Crc64Nvme => $into.checksum_crc64nvme = value,
            Algorithm::Sha1 => $into.checksum_sha1 = value,
            Algorithm::Sha256 => $into.checksum_sha256 = value,
        }
    }};
}
pub(super) use set_checksum;
