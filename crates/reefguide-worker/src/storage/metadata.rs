//! What is noted beside an object's content.

use std::sync::Arc;

use super::StorageError;

/// How many bytes of names and values S3 keeps for an object.
const LIMIT: usize = 2048;

/// Pairs of name and value that S3 keeps with an object, as `x-amz-meta-{name}`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pairs: Arc<[(String, String)]>,
}

impl Metadata {
    pub(crate) fn new(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StorageError> {
        let pairs: Arc<[_]> = pairs.into_iter().collect();
        let mut size = 0;
        for (name, value) in &*pairs {
            size += name.len() + value.len();
            let problem = if !is_name(name) {
                "its name is not made of small letters, digits and `-`"
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
        Ok(Self { pairs })
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
    fn what_a_header_cannot_hold_is_refused_by_name() {
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
            let error = Metadata::new(pairs).unwrap_err();
            assert!(
                matches!(&error, StorageError::Metadata { name: named, .. } if named == name),
                "{error:?}"
            );
        }
        let fine = Metadata::new([("job-id".to_owned(), "7 of 9".to_owned())]).unwrap();
        assert_eq!(fine.pairs().count(), 1);
    }
}
