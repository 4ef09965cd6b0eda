//! The behaviour that all stores share, tested with each of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use reefguide_storage::{
    Encryption, FolderTransfer, StorageClass, StorageError, StorageUri, TransferProgress,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use self::content::content;
use self::store::Store;

#[path = "../content/mod.rs"]
mod content;
#[path = "../lab_storage/mod.rs"]
mod lab_storage;
mod store;

/// More than one request transfers, and not a multiple of the size of a part.
const LARGE: usize = (17 << 20) + 12_345;

fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

async fn what_is_moved_is_counted(store: &Store) {
    let (sent, received) = (store.local("sent"), store.local("received"));
    write(&sent.join("small"), content(10));
    write(&sent.join("large"), content(LARGE));
    let all = (2, 2, LARGE as u64 + 10, LARGE as u64 + 10);
    let counts = |progress: &TransferProgress| {
        let now = progress.now();
        (now.files, now.files_found, now.bytes, now.bytes_found)
    };

    let progress = TransferProgress::default();
    let storage = store.storage.with_progress(&progress);
    storage.upload_folder(&sent, &store.uri("p")).await.unwrap();
    assert_eq!(counts(&progress), all);
    let progress = TransferProgress::default();
    let storage = store.storage.with_progress(&progress);
    storage
        .download_folder(&store.uri("p"), &received)
        .await
        .unwrap();
    assert_eq!(counts(&progress), all);
    storage
        .upload_file(&sent.join("gone"), &store.uri("p"))
        .await
        .unwrap_err();
    assert_eq!(counts(&progress), all);
}

async fn a_file_comes_back_as_it_went(store: &Store) {
    for size in [0, 1, 100_000, LARGE] {
        let (sent, received) = (store.local("sent"), store.local("new/received"));
        let content = content(size);
        write(&sent, &content);
        let uri = store.uri(&format!("files/{size} ä+%.tif"));

        let stored = store.storage.upload_file(&sent, &uri).await.unwrap();
        assert_eq!((stored.uri, stored.size), (uri.clone(), size as u64));
        let info = store.storage.info(&uri).await.unwrap();
        assert_eq!((info.size, &info.etag), (size as u64, &stored.etag));
        let read = store.storage.download_file(&uri, &received).await.unwrap();
        assert_eq!(read, info);
        assert!(
            std::fs::read(&received).unwrap() == content,
            "{uri} differs"
        );
        assert_eq!(store.storage.read(&uri, read.size).await.unwrap(), content);
    }
}

async fn an_object_is_read_as_it_arrives(store: &Store) {
    for size in [0, 1, 100_000, LARGE] {
        let (uri, content) = (store.uri("a"), content(size));
        store.put("a", content.clone()).await;
        let progress = TransferProgress::default();
        let storage = store.storage.with_progress(&progress);

        let mut reader = storage.open(&uri).await.unwrap();
        let info = store.storage.info(&uri).await.unwrap();
        assert_eq!(reader.info(), &info);
        assert_eq!((progress.now().files, progress.now().files_found), (0, 1));
        let mut begin = vec![0; size.min(10)];
        reader.read_exact(&mut begin).await.unwrap();
        let mut read = begin;
        while let Some(piece) = reader.next().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert!(read == content, "{size} bytes differ");
        assert!(reader.next().await.is_none());
        let now = progress.now();
        assert_eq!((now.files, now.bytes), (1, size as u64));

        let mut read = Vec::new();
        let mut reader = storage.open(&uri).await.unwrap();
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == content, "{size} bytes differ");
    }
    let missing = store.storage.open(&store.uri("b")).await.unwrap_err();
    assert!(matches!(missing, StorageError::NoSuchObject { .. }));
}

async fn an_object_is_read_by_lines(store: &Store) {
    let text: Vec<_> = (0..50_000).map(|n| format!("line {n}")).collect();
    store.put("a", text.join("\n")).await;
    let reader = store.storage.open(&store.uri("a")).await.unwrap();
    let mut lines = reader.lines();
    for expected in text {
        assert_eq!(lines.next_line().await.unwrap(), Some(expected));
    }
    assert_eq!(lines.next_line().await.unwrap(), None);
}

async fn bytes_over_the_multipart_threshold_come_back_as_they_went(store: &Store) {
    let content = content(LARGE);
    store.put("large", content.clone()).await;
    assert_eq!(store.get("large").await.unwrap(), content);
}

async fn a_folder_comes_back_as_it_went(store: &Store) {
    let (sent, received) = (store.local("sent"), store.local("received"));
    for path in [
        "a.json",
        "charts/b.svg",
        "charts/deep/er/c.txt",
        "charts/empty",
    ] {
        let content = if path.ends_with("empty") { "" } else { path };
        write(&sent.join(path), content);
    }
    let moved = FolderTransfer {
        files: 4,
        bytes: 38,
    };
    let to = store.uri("results/7");
    assert_eq!(
        store.storage.upload_folder(&sent, &to).await.unwrap(),
        moved
    );
    store.put("results/70/of-another-job", "").await;
    assert_eq!(
        store.keys("results/7").await,
        [
            "results/7/a.json",
            "results/7/charts/b.svg",
            "results/7/charts/deep/er/c.txt",
            "results/7/charts/empty"
        ]
    );
    assert_eq!(
        store.storage.download_folder(&to, &received).await.unwrap(),
        moved
    );
    for path in ["a.json", "charts/b.svg", "charts/deep/er/c.txt"] {
        assert_eq!(std::fs::read_to_string(received.join(path)).unwrap(), path);
    }
    assert_eq!(std::fs::read(received.join("charts/empty")).unwrap(), b"");
}

async fn an_overwrite_replaces_everything(store: &Store) {
    store.put("a", content(1000)).await;
    store.put("a", "short").await;
    assert_eq!(store.get("a").await.unwrap(), "short");
    let file = store.local("a");
    write(&file, content(1000));
    store
        .storage
        .download_file(&store.uri("a"), &file)
        .await
        .unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"short");
}

async fn a_missing_object_is_named_and_leaves_no_file(store: &Store) {
    let uri = store.uri("not/there");
    let file = store.local("down/file");
    let errors = [
        store.storage.read(&uri, 10).await.unwrap_err(),
        store.storage.info(&uri).await.unwrap_err(),
        store.storage.download_file(&uri, &file).await.unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(error, StorageError::NoSuchObject { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(&uri.to_string()), "{error}");
        assert!(!error.is_retryable());
    }
    assert!(!store.local("down").exists());
    store.storage.delete(&uri).await.unwrap();
}

async fn an_object_over_the_limit_is_not_read(store: &Store) {
    store.put("ten", "0123456789").await;
    let uri = store.uri("ten");
    assert_eq!(store.storage.read(&uri, 10).await.unwrap(), "0123456789");
    let error = store.storage.read(&uri, 9).await.unwrap_err();
    assert!(
        matches!(
            error,
            StorageError::OverLimit {
                size: 10,
                limit: 9,
                ..
            }
        ),
        "{error:?}"
    );
}

async fn a_name_may_have_any_character_but_control_characters(store: &Store) {
    let names = [
        "%2F+ &amp;<>\"'?#;=@:~^`|{}[]$!*(),",
        " leading and trailing ",
        "é e\u{301} 海図 🪸",
        "\u{feff}\u{e000}\u{fffd}\u{10fffd}",
        "a/..b/.c/...",
    ];
    let mut keys = Vec::new();
    for name in names {
        let key = format!("names/{name}");
        store.put(&key, name).await;
        assert_eq!(store.get(&key).await.unwrap(), name);
        keys.push(key);
    }
    keys.sort_unstable();
    assert_eq!(store.keys("names").await, keys);
    for key in keys {
        store.storage.delete(&store.uri(&key)).await.unwrap();
    }
    assert_eq!(store.keys("names").await, [""; 0]);
}

async fn a_listing_goes_over_many_pages(store: &Store) {
    let sent = store.local("sent");
    let mut expected = Vec::new();
    for number in 0..1100 {
        write(&sent.join(format!("{number}.txt")), number.to_string());
        expected.push(format!("many/{number}.txt"));
    }
    expected.sort_unstable();
    let to = store.uri("many");
    store.storage.upload_folder(&sent, &to).await.unwrap();
    assert_eq!(store.keys("many").await, expected);
    assert_eq!(store.keys("man").await, [""; 0]);

    let mut pages = store.storage.pages(&to).unwrap();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().len());
    }
    assert_eq!(sizes, [1000, 100]);
    let received = store.local("received");
    let moved = store.storage.download_folder(&to, &received).await.unwrap();
    assert_eq!(moved.files, 1100);
}

async fn a_deleted_object_is_gone(store: &Store) {
    store.put("p/a", "a").await;
    store.put("p/b", "b").await;
    store.storage.delete(&store.uri("p/a")).await.unwrap();
    assert!(matches!(
        store.get("p/a").await,
        Err(StorageError::NoSuchObject { .. })
    ));
    assert_eq!(store.keys("p").await, ["p/b"]);
    assert_eq!(store.keys("").await, ["p/b"]);
}

async fn a_key_that_begins_like_another_is_another(store: &Store) {
    store.put("p", "p").await;
    store.put("pq", "pq").await;
    assert_eq!(store.get("p").await.unwrap(), "p");
    assert_eq!(store.keys("").await, ["p", "pq"]);
    // A file system cannot have a folder of that name; the file must stay.
    let below = store.storage.upload_bytes("below", &store.uri("p/q")).await;
    match below {
        Ok(_) => assert_eq!(store.keys("p").await, ["p/q"]),
        Err(error) => assert!(matches!(error, StorageError::Local { .. }), "{error:?}"),
    }
    assert_eq!(store.get("p").await.unwrap(), "p");
}

async fn nothing_below_a_prefix_is_an_empty_folder(store: &Store) {
    assert_eq!(store.keys("nothing").await, [""; 0]);
    let moved = store
        .storage
        .download_folder(&store.uri("nothing"), &store.local("received"))
        .await
        .unwrap();
    assert_eq!(moved, FolderTransfer::default());
}

async fn a_uri_without_a_key_is_no_object(store: &Store) {
    let bucket = store.uri("");
    for error in [
        store.storage.upload_bytes("", &bucket).await.unwrap_err(),
        store.storage.read(&bucket, 1).await.unwrap_err(),
        store.storage.delete(&bucket).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, StorageError::Unsupported { .. }),
            "{error:?}"
        );
    }
}

async fn the_bucket_can_be_used(store: &Store) {
    store.storage.probe(&store.bucket).await.unwrap();
}

async fn a_symbolic_link_is_not_followed(store: &Store) {
    let sent = store.local("sent");
    write(&sent.join("charts/a"), "a");
    std::os::unix::fs::symlink("/etc", sent.join("charts/link")).unwrap();
    let error = store
        .storage
        .upload_folder(&sent, &store.uri("p"))
        .await
        .unwrap_err();
    assert!(matches!(error, StorageError::NotAFile { .. }), "{error:?}");
    assert!(
        error.to_string().contains("charts/link is a symbolic link"),
        "{error}"
    );
}

async fn what_no_object_can_be_is_refused_by_name_before_anything_is_stored(store: &Store) {
    use std::os::unix::ffi::OsStrExt;

    let names: [(&[u8], &str); 3] = [
        (b"z/not-utf8-\xff", "not UTF-8"),
        (b"z/back\\slash", "backslash"),
        (b"z/new\nline", "control character"),
    ];
    for (name, said) in names {
        let sent = store.local(&format!("sent-{said}"));
        for number in 0..50 {
            write(&sent.join(format!("{number}")), "fine");
        }
        write(&sent.join(std::ffi::OsStr::from_bytes(name)), "");
        let refused = store.storage.upload_folder(&sent, &store.uri("p")).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, StorageError::Path { .. }), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(store.keys("p").await, [""; 0]);
    }
    let sent = store.local("sent");
    for number in 0..50 {
        write(&sent.join(format!("{number}")), "fine");
    }
    let socket = sent.join("a socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let refused = store.storage.upload_folder(&sent, &store.uri("p")).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("a socket is a special file"), "{said}");
    std::fs::remove_file(&socket).unwrap();
    let long = store.uri(&"k".repeat(1023));
    let refused = store.storage.upload_folder(&sent, &long).await.unwrap_err();
    assert!(refused.to_string().contains("1024 bytes"), "{refused}");
    assert_eq!(store.keys("").await, [""; 0]);
}

async fn hidden_files_are_stored_and_empty_folders_leave_nothing(store: &Store) {
    let (sent, received) = (store.local("sent"), store.local("received"));
    write(&sent.join(".hidden/.file"), "hidden");
    std::fs::create_dir_all(sent.join("empty/too")).unwrap();
    let to = store.uri("p");
    let moved = store.storage.upload_folder(&sent, &to).await.unwrap();
    assert_eq!(moved, FolderTransfer { files: 1, bytes: 6 });
    assert_eq!(store.keys("").await, ["p/.hidden/.file"]);
    store.storage.download_folder(&to, &received).await.unwrap();
    assert_eq!(std::fs::read_dir(&received).unwrap().count(), 1);
    let hidden = std::fs::read(received.join(".hidden/.file")).unwrap();
    assert_eq!(hidden, b"hidden");
}

async fn names_that_only_windows_cannot_have_come_back_as_they_went(store: &Store) {
    let (sent, received) = (store.local("sent"), store.local("received"));
    let names = ["12:30?.nc", "CON", "a", "A", "dot.", "space ", "<*>|\""];
    for name in names {
        write(&sent.join(name), name);
    }
    let to = store.uri("p");
    store.storage.upload_folder(&sent, &to).await.unwrap();
    store.storage.download_folder(&to, &received).await.unwrap();
    for name in names {
        assert_eq!(std::fs::read_to_string(received.join(name)).unwrap(), name);
    }
}

async fn nothing_is_written_outside_of_the_folder_through_a_link(store: &Store) {
    let (received, outside) = (store.local("received"), store.local("outside"));
    std::fs::create_dir_all(received.join("deep")).unwrap();
    write(&outside.join("kept"), "kept");
    for link in ["a", "deep/a"] {
        std::os::unix::fs::symlink(&outside, received.join(link)).unwrap();
    }
    for key in ["p/a/kept", "p/a/new/er", "p/deep/a/new"] {
        store.put(key, "overwritten").await;
        let from = store.uri("p");
        let refused = store.storage.download_folder(&from, &received).await;
        let error = refused.unwrap_err();
        let said = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(said.contains("/a: it is a symbolic link"), "{said}");
        store.storage.delete(&store.uri(key)).await.unwrap();
    }
    // A file of its name replaces the link itself.
    std::os::unix::fs::symlink(outside.join("kept"), received.join("file")).unwrap();
    store.put("q/file", "new").await;
    let from = store.uri("q");
    let moved = store.storage.download_folder(&from, &received).await;
    assert_eq!(moved.unwrap().files, 1);
    assert_eq!(std::fs::read(received.join("file")).unwrap(), b"new");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read(outside.join("kept")).unwrap(), b"kept");
}

macro_rules! conformance {
    ($($test:ident,)*) => {
        mod folder {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::Store::folder()).await;
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let store = super::Store::s3().await;
                super::$test(&store).await;
                store.remove().await;
            })*
        }
    };
}

conformance! {
    a_file_comes_back_as_it_went,
    an_object_is_read_as_it_arrives,
    an_object_is_read_by_lines,
    what_is_moved_is_counted,
    bytes_over_the_multipart_threshold_come_back_as_they_went,
    a_folder_comes_back_as_it_went,
    an_overwrite_replaces_everything,
    a_missing_object_is_named_and_leaves_no_file,
    an_object_over_the_limit_is_not_read,
    a_name_may_have_any_character_but_control_characters,
    a_listing_goes_over_many_pages,
    a_deleted_object_is_gone,
    a_key_that_begins_like_another_is_another,
    nothing_below_a_prefix_is_an_empty_folder,
    a_uri_without_a_key_is_no_object,
    the_bucket_can_be_used,
    a_symbolic_link_is_not_followed,
    what_no_object_can_be_is_refused_by_name_before_anything_is_stored,
    hidden_files_are_stored_and_empty_folders_leave_nothing,
    names_that_only_windows_cannot_have_come_back_as_they_went,
    nothing_is_written_outside_of_the_folder_through_a_link,
}

#[tokio::test]
async fn a_folders_object_that_is_replaced_in_place_while_it_is_read_is_reported() {
    let store = Store::folder();
    store.put("a", content(LARGE)).await;
    let mut reader = store.storage.open(&store.uri("a")).await.unwrap();
    reader.next().await.unwrap().unwrap();
    write(&store.local("store/reef/a"), content(LARGE + 1));
    let mut read = Vec::new();
    let error = reader.read_to_end(&mut read).await.unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
}

#[tokio::test]
async fn s3_has_only_buckets_that_were_created() {
    let store = Store::s3().await;
    let elsewhere = "reefguide-test-elsewhere";
    let uri: StorageUri = format!("s3://{elsewhere}/a").parse().unwrap();
    for refused in [
        store.storage.upload_bytes("a", &uri).await.unwrap_err(),
        store.storage.read(&uri, 1).await.unwrap_err(),
        store.storage.list(&uri).await.unwrap_err(),
        store.storage.probe(elsewhere).await.unwrap_err(),
    ] {
        let named = matches!(refused, StorageError::NoSuchBucket { .. });
        assert!(named, "{refused:?}");
    }
    store.remove().await;
}

#[tokio::test]
async fn s3_stores_encrypted_objects_of_another_class() {
    let store = Store::lab(|options| {
        options.encryption = Some(Encryption::Kms { key: None });
        options.storage_class = Some(StorageClass::StandardIa);
    })
    .await;
    for size in [10, LARGE] {
        let content = content(size);
        store.put("a", content.clone()).await;
        assert_eq!(store.get("a").await.unwrap(), content);
        store.storage.list(&store.uri("")).await.unwrap();
    }
}

#[tokio::test]
async fn s3_rejects_wrong_credentials() {
    for (access_key, secret_key) in [("somebody", "minioadmin"), ("minioadmin", "wrong")] {
        // Some of the other servers do not check them.
        let store = Store::lab(|options| {
            let credentials = options.credentials.as_mut().unwrap();
            credentials.access_key = access_key.into();
            credentials.secret_key = secret_key.into();
        });
        let store = store.await;
        for refused in [
            store.storage.probe(&store.bucket).await.unwrap_err(),
            store
                .storage
                .upload_bytes("a", &store.uri("a"))
                .await
                .unwrap_err(),
        ] {
            let refused_keys = matches!(refused, StorageError::Credentials { .. });
            assert!(refused_keys, "{refused:?}");
        }
    }
}
