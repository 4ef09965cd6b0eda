//! ListObjects, versions 1 and 2. No key needs escaping.

use std::collections::{BTreeMap, HashMap};

use crate::sink::ETAG;

/// The page size of S3.
const PAGE: usize = 1000;

/// The page of `objects`, sizes by their keys, that `query` asks for.
pub(crate) fn page(objects: &BTreeMap<String, u64>, query: &HashMap<String, String>) -> String {
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    let prefix = given("prefix");
    // A listing continues after the last name of the page before; its parameter depends on the version.
    let after = ["continuation-token", "marker", "start-after"].map(given);
    let after = after.into_iter().max().unwrap_or_default();
    let most = given("max-keys").parse().unwrap_or(PAGE).min(PAGE);

    let from = after.max(prefix).to_owned();
    let mut entries: Vec<(&str, Option<u64>)> = Vec::new();
    let below = objects.range(from..);
    for (key, size) in below.take_while(|(key, _)| key.starts_with(prefix)) {
        let entry = match folder(key, prefix, given("delimiter")) {
            Some(folder) => (folder, None),
            None => (key.as_str(), Some(*size)),
        };
        if entry.0 <= after || entries.last() == Some(&entry) {
            continue;
        }
        entries.push(entry);
        if entries.len() > most {
            break;
        }
    }
    let truncated = entries.len() > most;
    entries.truncate(most);
    let next = match entries.last() {
        Some((last, _)) if truncated => format!(
            "<NextContinuationToken>{last}</NextContinuationToken><NextMarker>{last}</NextMarker>"
        ),
        _ => String::new(),
    };
    let count = entries.len();
    let entries: String = entries.into_iter().map(xml).collect();
    format!(
        "<ListBucketResult><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys>\
         <IsTruncated>{truncated}</IsTruncated>{next}{entries}</ListBucketResult>"
    )
}

/// The folder below `prefix` that `key` is in, if there is a delimiter.
fn folder<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    if delimiter.is_empty() {
        return None;
    }
    let end = key.get(prefix.len()..)?.find(delimiter)? + delimiter.len();
    key.get(..prefix.len() + end)
}

fn xml((name, size): (&str, Option<u64>)) -> String {
    match size {
        None => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
        Some(size) => format!(
            "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;{ETAG}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(query: &[(&str, &str)]) -> String {
        let keys = ["a/1", "a/2", "b/3", "c"];
        let objects = keys.map(|key| (key.to_owned(), 7)).into();
        let query = query
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        page(&objects, &query.collect())
    }

    fn names<'p>(page: &'p str, tag: &str) -> Vec<&'p str> {
        let tag = format!("<{tag}>");
        let pieces = page.split(&tag).skip(1);
        pieces.filter_map(|piece| piece.split('<').next()).collect()
    }

    #[test]
    fn a_page_continues_where_the_one_before_ended() {
        let first = listed(&[("max-keys", "3")]);
        assert_eq!(names(&first, "Key"), ["a/1", "a/2", "b/3"]);
        assert_eq!(names(&first, "NextContinuationToken"), ["b/3"]);
        let second = listed(&[("max-keys", "3"), ("continuation-token", "b/3")]);
        assert_eq!(names(&second, "Key"), ["c"]);
        assert_eq!(names(&second, "IsTruncated"), ["false"]);
    }

    #[test]
    fn a_delimiter_lists_each_folder_once() {
        let top = listed(&[("delimiter", "/")]);
        assert_eq!(names(&top, "Prefix"), ["", "a/", "b/"]);
        assert_eq!(names(&top, "Key"), ["c"]);
        let rest = listed(&[("delimiter", "/"), ("marker", "a/")]);
        assert_eq!(names(&rest, "CommonPrefixes"), [""], "only b/");
        let inside = listed(&[("delimiter", "/"), ("prefix", "a/")]);
        assert_eq!(names(&inside, "Key"), ["a/1", "a/2"]);
    }
}
