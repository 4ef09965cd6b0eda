//! What S3 stores with an object besides its content.

use std::sync::Arc;

use crate::{StorageClass, StorageError};

/// The number of bytes of names and values that S3 stores with an object.
const LIMIT: usize = 2048;

/// What S3 stores with an object besides its content. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    /// Names and values, stored as `x-amz-meta-{name}`.
    pairs: Arc<[(String, String)]>,
    pub(crate) class: Option<StorageClass>,
}

impl Metadata {
    /// The same class with other pairs.
    pub(crate) fn with(
        &self,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StorageError> {
        let pairs: Arc<[_]> = pairs.into_iter().collect();
        let mut size = 0;
        for (name, value) in &*pairs {
            size += name.len() + value.len();
            let problem = if !is_name(name) {
                "its name has other characters than lower-case letters, digits and `-`"
            } else if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                "its value is not printable ASCII: encode it"
            } else if size > LIMIT {
                "with it there are more than 2048 bytes"
            } else {
                continue;
            };
            return Err(StorageError::Metadata {
                name: name.clone(),
                problem,
            });
        }
        let class = self.class;
        Ok(Self { pairs, class })
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.pairs.iter()
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_a_header_cannot_hold_is_refused_by_name() {
        let long = "x".repeat(2048);
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("A", "x"),
            ("a", "é"),
            ("a", "\n"),
            ("a", &long),
        ] {
            let pairs = [
                ("job".to_owned(), "1".to_owned()),
                (name.to_owned(), value.to_owned()),
            ];
            let error = Metadata::default().with(pairs).unwrap_err();
            assert!(
                matches!(&error, StorageError::Metadata { name: named, .. } if named == name),
                "{error:?}"
            );
        }
        let pairs = [("job-id".to_owned(), "7 of 9".to_owned())];
        let fine = Metadata::default().with(pairs).unwrap();
        assert_eq!(fine.pairs().count(), 1);
    }
}
