//! The address of an object, or of a folder of objects.

mod parse;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// The kind of store a [`StorageUri`] points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// An S3 bucket: `s3://bucket/key`.
    S3,
    /// A local file: `file:///path`.
    File,
}

impl Scheme {
    /// The scheme's name, which precedes `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::File => "file",
        }
    }
}

/// The address of an object or folder: `s3://bucket/key` or `file:///path`.
///
/// The key is literal: `%`, `?`, `+` and `#` are ordinary characters, and nothing
/// is decoded. It is empty for a whole bucket, and has no control characters and at most 1,024 bytes.
///
/// ```
/// use reefguide_storage::StorageUri;
///
/// let prefix: StorageUri = "s3://reef/results/test/7".parse()?;
/// assert_eq!(prefix.join("charts/a.json")?.to_string(), "s3://reef/results/test/7/charts/a.json");
/// assert!(prefix.join("../8/a.json").is_err());
/// # Ok::<(), reefguide_storage::StorageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageUri {
    scheme: Scheme,
    bucket: String,
    key: String,
}

impl StorageUri {
    /// The kind of store.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The bucket; empty for `file`.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key inside the bucket, or the path of a file without its leading `/`. Empty for the
    /// whole bucket.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The prefix of the keys of all objects below this one: the key and one `/`, or nothing
    /// for a whole bucket.
    pub(crate) fn folder_prefix(&self) -> String {
        match self.key.as_str() {
            "" => String::new(),
            key if key.ends_with('/') => key.to_owned(),
            key => format!("{key}/"),
        }
    }
}

impl fmt::Display for StorageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            bucket,
            key,
        } = self;
        write!(f, "{}://{bucket}", scheme.as_str())?;
        if key.is_empty() && *scheme == Scheme::S3 {
            return Ok(());
        }
        write!(f, "/{key}")
    }
}

impl fmt::Debug for StorageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageUri({self})")
    }
}

impl Serialize for StorageUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for StorageUri {
    fn schema_name() -> Cow<'static, str> {
        "StorageUri".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A storage URI: s3://bucket/key or file:///path",
            "pattern": "^(s3://[A-Za-z0-9_-][A-Za-z0-9._-]*(/.*)?|file:///.*)$",
        })
    }
}
