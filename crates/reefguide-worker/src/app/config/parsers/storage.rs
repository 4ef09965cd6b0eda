//! How and where objects are stored.

use super::{Text, ValueParser};
use crate::storage::{Encryption, StorageClass, StorageUri};

/// How S3 encrypts, by S3's own names; the key is in another variable.
pub(in crate::app::config) struct S3Encryption;

impl ValueParser for S3Encryption {
    type Value = Encryption;

    fn expected(&self) -> String {
        "`AES256` or `aws:kms`".into()
    }

    fn parse(&self, text: &str) -> Result<Encryption, Option<String>> {
        match text.trim() {
            "AES256" => Ok(Encryption::Aes256),
            "aws:kms" => Ok(Encryption::Kms { key: None }),
            _ => Err(None),
        }
    }
}

/// The name of a KMS key, which is sent in a header.
pub(in crate::app::config) struct KmsKey;

impl ValueParser for KmsKey {
    type Value = String;

    fn expected(&self) -> String {
        "the id, ARN or alias of a KMS key, such as alias/reef".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let key = Text.parse(text)?;
        match key.chars().all(|c| c.is_ascii_graphic()) {
            true => Ok(key),
            false => Err(None),
        }
    }
}

/// A storage class of S3, by S3's own name.
pub(in crate::app::config) struct S3StorageClass;

impl ValueParser for S3StorageClass {
    type Value = StorageClass;

    fn expected(&self) -> String {
        let names = StorageClass::ALL.map(|class| format!("`{}`", class.as_str()));
        format!("one of {}", names.join(", "))
    }

    fn parse(&self, text: &str) -> Result<StorageClass, Option<String>> {
        let text = text.trim();
        let mut all = StorageClass::ALL.into_iter();
        all.find(|class| class.as_str() == text).ok_or_else(|| {
            matches!(text, "GLACIER" | "DEEP_ARCHIVE").then(|| {
                format!(
                    "use GLACIER_IR: outputs in {text} cannot be downloaded at once; a lifecycle rule of \
                     the bucket can move outputs there later"
                )
            })
        })
    }
}

/// A folder for objects.
pub(in crate::app::config) struct StorageFolder;

impl ValueParser for StorageFolder {
    type Value = StorageUri;

    fn expected(&self) -> String {
        "a storage URI with a folder, such as s3://bucket/workers/records".into()
    }

    fn parse(&self, text: &str) -> Result<StorageUri, Option<String>> {
        let uri: StorageUri = text.trim().parse().map_err(|_| None)?;
        match uri.key().trim_matches('/').is_empty() {
            true => Err(Some("add a folder to it".into())),
            false => Ok(uri),
        }
    }
}
