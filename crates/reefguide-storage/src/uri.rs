//! Where an object or a folder of objects lies in a store.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::StorageError;
use reefguide_transport::{MAX_KEY_BYTES, ObjectPath};

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
    /// The scheme's name, as it stands before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::File => "file",
        }
    }
}

/// A place in a store: `s3://bucket/key` or `file:///path`.
///
/// The key is taken as it stands: `%`, `?`, `+` and `#` are characters like any other and nothing
/// is decoded. It is empty for a whole bucket, has no control character and at most 1,024 bytes.
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

    /// The place `relative` below this one, with exactly one `/` between the two.
    ///
    /// # Errors
    /// [`StorageError::Path`] when `relative` is no [`ObjectPath`], so the result never leaves this
    /// prefix; [`StorageError::Uri`] when the whole key would be longer than 1,024 bytes.
    pub fn join(&self, relative: &str) -> Result<Self, StorageError> {
        self.object(&relative.parse()?)
    }

    /// [`join`](Self::join) for a path that was checked before.
    pub(crate) fn object(&self, path: &ObjectPath) -> Result<Self, StorageError> {
        self.with_key(self.folder_prefix() + path.as_str())
    }

    /// The same store and bucket with another key.
    pub(crate) fn with_key(&self, key: String) -> Result<Self, StorageError> {
        let uri = Self {
            scheme: self.scheme,
            bucket: self.bucket.clone(),
            key,
        };
        match key_problem(&uri.key) {
            Some(problem) => Err(refuse(&uri.to_string(), problem)),
            None => Ok(uri),
        }
    }

    /// What the keys of all objects below this place begin with: the key and one `/`, or nothing
    /// for a whole bucket.
    pub(crate) fn folder_prefix(&self) -> String {
        match self.key.as_str() {
            "" => String::new(),
            key if key.ends_with('/') => key.to_owned(),
            key => format!("{key}/"),
        }
    }
}

impl FromStr for StorageUri {
    type Err = StorageError;

    fn from_str(uri: &str) -> Result<Self, StorageError> {
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Err(refuse(uri, FORM));
        };
        let scheme = match scheme {
            "s3" => Scheme::S3,
            "file" => Scheme::File,
            _ => return Err(refuse(uri, FORM)),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let problem = match scheme {
            Scheme::S3 => bucket_problem(bucket),
            Scheme::File if !bucket.is_empty() || !rest.starts_with('/') => Some(FORM),
            Scheme::File => None,
        };
        match problem.or_else(|| key_problem(key)) {
            Some(problem) => Err(refuse(uri, problem)),
            None => Ok(Self {
                scheme,
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            }),
        }
    }
}

const FORM: &str = "is not of the form `s3://bucket/key` or `file:///path`";

fn refuse(uri: &str, problem: &'static str) -> StorageError {
    StorageError::Uri {
        uri: uri.to_owned(),
        problem,
    }
}

fn bucket_problem(bucket: &str) -> Option<&'static str> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() {
        return Some("names no bucket: write `s3://bucket/key`");
    }
    if !bucket.chars().all(letters) || bucket.starts_with('.') || bucket.len() > 255 {
        return Some(
            "has a bucket name that no store allows: use letters, digits, `-`, `.` and `_`",
        );
    }
    None
}

fn key_problem(key: &str) -> Option<&'static str> {
    if key.len() > MAX_KEY_BYTES {
        return Some("has a key longer than 1024 bytes: shorten the path");
    }
    if key.chars().any(char::is_control) {
        return Some("has a control character in its key: remove it");
    }
    None
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

impl<'de> Deserialize<'de> for StorageUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let uri = Cow::<'de, str>::deserialize(deserializer)?;
        uri.parse().map_err(serde::de::Error::custom)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_uri_has_scheme_bucket_and_key() {
        let uri: StorageUri = "s3://reef/results/test/7".parse().unwrap();
        assert_eq!(
            (uri.scheme(), uri.bucket(), uri.key()),
            (Scheme::S3, "reef", "results/test/7")
        );
        let uri: StorageUri = "file:///data/a b.tif".parse().unwrap();
        assert_eq!(
            (uri.scheme(), uri.bucket(), uri.key()),
            (Scheme::File, "", "data/a b.tif")
        );
    }

    #[test]
    fn what_is_no_uri_is_refused_by_name() {
        for uri in [
            "",
            "reef/key",
            "http://reef/key",
            "S3://reef/key",
            "s3:/reef/key",
            "s3://",
            "s3:///key",
            "s3://a b/key",
            "s3://../key",
            "s3://me:secret@host/key",
            "file://host/path",
            "file://",
            "s3://reef/a\nb",
        ] {
            let error = uri.parse::<StorageUri>().unwrap_err().to_string();
            assert!(error.contains(&format!("{uri:?}")), "{error}");
        }
    }

    #[test]
    fn a_bucket_alone_means_all_of_it() {
        for uri in ["s3://reef", "s3://reef/"] {
            let uri: StorageUri = uri.parse().unwrap();
            assert_eq!(uri.to_string(), "s3://reef");
            assert_eq!(uri.folder_prefix(), "");
            assert_eq!(uri.join("a").unwrap().to_string(), "s3://reef/a");
        }
        let root: StorageUri = "file:///".parse().unwrap();
        assert_eq!(root.join("a").unwrap().to_string(), "file:///a");
    }

    #[test]
    fn a_prefix_with_and_without_its_slash_joins_the_same() {
        for uri in ["s3://reef/p", "s3://reef/p/"] {
            let uri: StorageUri = uri.parse().unwrap();
            assert_eq!(uri.join("a").unwrap().key(), "p/a");
        }
    }

    #[test]
    fn a_joined_key_over_the_limit_is_refused() {
        let uri: StorageUri = format!("s3://reef/{}", "p".repeat(1000)).parse().unwrap();
        assert!(uri.join(&"a".repeat(23)).is_ok());
        assert!(uri.join(&"a".repeat(24)).is_err());
    }

    /// Paths of which many are almost right.
    fn paths() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("..".to_owned()),
            Just(".".to_owned()),
            "\\PC{0,3}",
            "[a-z./\\\\]{1,3}",
        ];
        proptest::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(bucket in "[a-z0-9-][a-z0-9._-]{0,62}", key in "\\PC{0,200}") {
            for text in [format!("s3://{bucket}/{key}"), format!("file:///{key}")] {
                let uri: StorageUri = text.parse().unwrap();
                prop_assert_eq!(uri.key(), &key);
                prop_assert_eq!(&uri.to_string().parse::<StorageUri>().unwrap(), &uri);
                let json = serde_json::to_string(&uri).unwrap();
                prop_assert_eq!(serde_json::from_str::<StorageUri>(&json).unwrap(), uri);
            }
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = text.parse::<StorageUri>();
            let _ = format!("s3://{text}").parse::<StorageUri>();
        }

        #[test]
        fn join_never_escapes(key in "\\PC{0,20}", relative in paths()) {
            let prefix: StorageUri = format!("s3://reef/{key}").parse().unwrap();
            if let Ok(joined) = prefix.join(&relative) {
                prop_assert_eq!(joined.bucket(), "reef");
                let below = joined.key().strip_prefix(&prefix.folder_prefix()).unwrap();
                prop_assert_eq!(below, relative.as_str());
                prop_assert!(below.split('/').all(|name| !["", ".", ".."].contains(&name)));
            }
        }
    }
}
