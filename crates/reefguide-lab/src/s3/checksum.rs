//! The checksums S3 keeps beside an object: one of five algorithms, over the whole object or over
//! the checksums of its parts.

use std::fmt::Write as _;

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
    /// Base64; of a composite checksum with `-N`, N parts.
    pub(super) value: String,
    /// Computed over the checksums of the parts, not over the bytes.
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

    /// The name in requests and answers.
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

    /// The header or trailer that carries a checksum of this kind.
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

    /// Whether a multipart upload gets a composite checksum, `asked` being what its creator asked
    /// for; `None` where the algorithm does not offer that.
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

    /// The checksum of an object from those of its parts, each with the part's size in bytes.
    /// `None` if a part's checksum is not one of this algorithm.
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

/// A checksum in the making.
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
    /// The name S3 has for what the checksum covers.
    pub(super) fn covers(&self) -> ChecksumType {
        ChecksumType::from_static(if self.composite {
            ChecksumType::COMPOSITE
        } else {
            ChecksumType::FULL_OBJECT
        })
    }
}

/// `bytes` in lower-case hex: of an MD5, that is the entity tag.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The checksums in any of S3's structs that have one field for each algorithm.
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

/// Puts a checksum into the field for its algorithm.
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
