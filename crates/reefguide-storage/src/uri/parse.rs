//! Reading a [`StorageUri`] from text, and joining paths to it.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::{Scheme, StorageUri};
use crate::StorageError;
use reefguide_transport::{MAX_KEY_BYTES, ObjectPath};

impl StorageUri {
    /// The URI of `relative` below this one, with exactly one `/` between the two.
    ///
    /// # Errors
    /// [`StorageError::Path`] when `relative` is not an [`ObjectPath`], so that the result is always below this
    /// one; [`StorageError::Uri`] when the whole key would be longer than 1,024 bytes.
    pub fn join(&self, relative: &str) -> Result<Self, StorageError> {
        self.object(&relative.parse()?)
    }

    /// [`join`](Self::join) for a valid path.
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
        return Some("has no bucket: write `s3://bucket/key`");
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

impl<'de> Deserialize<'de> for StorageUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let uri = Cow::<'de, str>::deserialize(deserializer)?;
        uri.parse().map_err(serde::de::Error::custom)
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
    fn a_text_that_is_not_a_uri_is_refused_and_named() {
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
    fn a_bucket_without_a_key_means_the_whole_bucket() {
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
    fn a_slash_at_the_end_of_a_prefix_makes_no_difference() {
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

    /// Paths, many of which are almost valid.
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
        fn displaying_and_parsing_a_uri_gives_the_same_uri(bucket in "[a-z0-9-][a-z0-9._-]{0,62}", key in "\\PC{0,200}") {
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
        fn a_joined_uri_is_below_its_prefix(key in "\\PC{0,20}", relative in paths()) {
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
