//! Keys of every kind, in every call.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "lab_storage/mod.rs"]
mod lab_storage;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reefguide_lab::Lab;
use reefguide_storage::{Storage, StorageError, StorageUri};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CASES: u32 = 64;

/// A character of any of the 17 planes that a key may have.
fn character() -> impl Strategy<Value = char> {
    (0..=16_u32, 0..=0xffff_u32)
        .prop_filter_map("no character, or a control character", |(plane, low)| {
            char::from_u32(plane << 16 | low).filter(|found| !found.is_control())
        })
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        "[a-z]{1,3}",
        "[ +%&?#=;:@\"'<>\\\\^`{}|~*!$,()\\[\\]]{1,6}",
        "%[0-9A-Fa-f]{2}",
        proptest::collection::vec(character(), 1..8).prop_map(String::from_iter),
    ]
}

/// Keys, many of which look like paths that mean something else.
fn key() -> impl Strategy<Value = String> {
    let long = ("[a-zé海🪸/]{256,600}", 1000..=1024_usize).prop_map(|(mut key, most)| {
        while key.len() > most {
            key.pop();
        }
        key
    });
    prop_oneof![
        4 => proptest::collection::vec(segment(), 1..6).prop_map(|segments| segments.join("/")),
        1 => long,
    ]
    .prop_filter(
        "a key has 1 to 1,024 bytes, and the SDK sends none of blanks alone",
        |key| (1..=1024).contains(&key.len()) && !key.trim().is_empty(),
    )
}

fn check<S: Strategy>(keys: S, test: impl Fn(S::Value)) {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let passed = TestRunner::new(config).run(&keys, |keys| {
        test(keys);
        Ok(())
    });
    passed.unwrap();
}

fn uri(bucket: &str, key: &str) -> StorageUri {
    let uri: StorageUri = format!("s3://{bucket}/{key}").parse().unwrap();
    assert_eq!(uri.key(), key);
    assert_eq!(uri.to_string().parse::<StorageUri>().unwrap(), uri);
    uri
}

/// Stores an object with each key, finds it with every call, and deletes it.
async fn round_trip(storage: &Storage, bucket: &str, keys: &BTreeSet<String>, local: &Path) {
    for key in keys {
        let stored = storage.upload_bytes(key.clone(), &uri(bucket, key)).await;
        assert_eq!(stored.unwrap().uri.key(), key);
    }
    let listed = storage.list(&uri(bucket, "")).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|object| object.uri.key()).collect();
    assert_eq!(listed, keys.iter().map(String::as_str).collect::<Vec<_>>());
    for key in keys {
        let uri = uri(bucket, key);
        let info = storage.info(&uri).await.unwrap();
        assert_eq!(
            (info.uri.key(), info.size),
            (key.as_str(), key.len() as u64)
        );
        let file = local.join("file");
        storage.download_file(&uri, &file).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), *key);
        storage.delete(&uri).await.unwrap();
        let gone = storage.read(&uri, 1).await.unwrap_err();
        let is_gone = matches!(gone, StorageError::NoSuchObject { .. });
        assert!(is_gone, "{key:?}: {gone}");
    }
    assert_eq!(storage.list(&uri(bucket, "")).await.unwrap(), []);
}

fn s3() -> (Runtime, Lab, Storage, TempDir) {
    let runtime = Runtime::new().unwrap();
    let lab = runtime.block_on(Lab::builder().start()).unwrap();
    let storage = Storage::s3(lab_storage::options(&lab));
    (runtime, lab, storage, tempfile::tempdir().unwrap())
}

#[test]
fn s3_returns_any_key_unchanged() {
    let (runtime, lab, storage, local) = s3();
    check(proptest::collection::btree_set(key(), 1..5), |keys| {
        runtime.block_on(round_trip(&storage, lab.bucket(), &keys, local.path()));
    });
}

#[test]
fn a_key_that_looks_like_a_path_to_elsewhere_is_literal() {
    let (runtime, lab, storage, local) = s3();
    let keys = [
        ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "../../b", "/", "//", "/a",
        "a/", "a//b", "a", "%2e%2e/a", "%2F", "%", "+", "a b", "a+b", "a%20b", "\u{feff}",
    ];
    let keys = keys.map(str::to_owned).into();
    runtime.block_on(round_trip(&storage, lab.bucket(), &keys, local.path()));
}

#[test]
fn a_key_of_only_blanks_is_refused_by_name_and_never_requested() {
    let (runtime, lab, storage, _local) = s3();
    let uri = uri(lab.bucket(), " ");
    let stored = runtime.block_on(storage.upload_bytes("", &uri));
    let error = stored.unwrap_err().to_string();
    let named = format!("cannot store {uri}: its key has blanks only");
    assert!(error.starts_with(&named), "{error}");
    assert_eq!(lab.requests().len(), 0);
}

#[test]
fn a_key_has_at_most_1024_bytes_of_utf8_and_a_longer_one_is_never_requested() {
    let (runtime, lab, storage, local) = s3();
    let longest = ["k".repeat(1024), "é".repeat(512), "🪸".repeat(256)].into();
    runtime.block_on(round_trip(&storage, lab.bucket(), &longest, local.path()));
    let before = lab.requests().len();
    for key in longest {
        let text = format!("s3://{}/{key}k", lab.bucket());
        let error = text.parse::<StorageUri>().unwrap_err().to_string();
        assert!(error.contains("longer than 1024 bytes"), "{error}");
        let folder = uri(lab.bucket(), &key);
        assert!(folder.join("a").is_err());
    }
    assert_eq!(lab.requests().len(), before);
}

#[test]
fn a_folder_keeps_a_key_unchanged_or_refuses_it_by_name_and_no_key_leads_out_of_it() {
    let runtime = Runtime::new().unwrap();
    check(key(), |key| {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("a/b/c/root");
        let storage = Storage::folder(&root);
        // Were it not refused, an absolute key would lead into this test's own folder, and so deep
        // that no `..` leads out of that.
        let key = match key.strip_prefix('/') {
            Some(rest) => {
                let inside = around.path().join("a/b/c/d");
                format!("{}/{}", inside.display(), rest.trim_start_matches('/'))
            }
            None => key,
        };
        if key.len() > 1024 {
            return;
        }
        let uri = uri("reef", &key);
        let stored = runtime.block_on(storage.upload_bytes(key.clone(), &uri));
        match stored {
            Ok(_) => {
                let keys = [key.clone()].into();
                let local = tempfile::tempdir().unwrap();
                runtime.block_on(round_trip(&storage, "reef", &keys, local.path()));
            }
            // Names on a file system have 255 bytes at most.
            Err(StorageError::Local { .. }) => {
                assert!(key.split('/').any(|name| name.len() > 255), "{key:?}");
            }
            Err(error) => {
                let named = matches!(error, StorageError::Unsupported { .. });
                assert!(named && error.to_string().contains(&key), "{error}");
            }
        }
        for folder in ["", "a", "a/b", "a/b/c"] {
            let entries = std::fs::read_dir(around.path().join(folder));
            assert!(
                entries.map_or(0, Iterator::count) <= 1,
                "{key:?} is outside"
            );
        }
    });
}
