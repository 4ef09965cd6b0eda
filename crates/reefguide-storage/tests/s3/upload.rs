//! Uploading objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use reefguide_storage::{Encryption, OutputManifest, Outputs, StorageClass, StorageError, publish};
use tokio::sync::Notify;

use crate::server::{Asked, Server, error, listing_with_etags, ok, stored, uri};

/// Too large for one request: three parts.
const LARGE: usize = 17 << 20;

fn begun() -> Response {
    ok("<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>")
}

fn completed() -> Response {
    ok("<CompleteMultipartUploadResult><ETag>\"e-3\"</ETag></CompleteMultipartUploadResult>")
}

/// The answer of a server without faults.
fn usual(asked: &Asked) -> Response {
    match asked.line().as_str() {
        "POST /reef/a?uploads" => begun(),
        "POST /reef/a?uploadId=up" => completed(),
        _ => stored(),
    }
}

#[tokio::test]
async fn a_small_object_is_one_request_with_its_checksum_in_a_header() {
    let mut server = Server::answering(|_| async { stored() }).await;
    let to = uri("s3://reef/p/x%20ä+b.json");
    let info = server.storage.upload_bytes("{}", &to).await.unwrap();
    assert_eq!((info.size, info.etag.as_deref()), (2, Some("\"0cc175b9\"")));
    let asked = server.next("PUT").await;
    assert_eq!(asked.line(), "PUT /reef/p/x%2520%C3%A4%2Bb.json");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("content-length"), Some("2"));
    assert_eq!(asked.header("x-amz-checksum-crc32"), Some("o6a/Qw=="));
    let sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(asked.header("x-amz-content-sha256"), Some(sha256));
    assert_eq!(asked.header("content-encoding"), None);
    assert_eq!(asked.body, "{}");
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_stored_is_reported() {
    // A file that fits in memory is stored as it was when it was read.
    for size in [2 << 20, LARGE] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, vec![7; size]).unwrap();
        let written = file.clone();
        let server = Server::answering(move |asked| {
            let file = written.clone();
            async move {
                if asked.head.method == "PUT" {
                    let longer = std::fs::File::options().write(true).open(file).unwrap();
                    longer
                        .set_len(asked.body.len() as u64 + LARGE as u64)
                        .unwrap();
                }
                usual(&asked)
            }
        })
        .await;
        let stored = server.storage.upload_file(&file, &uri("s3://reef/a")).await;
        let error = stored.unwrap_err();
        assert!(
            matches!(&error, StorageError::FileChanged { path } if *path == file),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn metadata_are_sent_with_an_object() {
    let mut server = Server::answering(|asked| async move { usual(&asked) }).await;
    let storage = server
        .storage
        .with_metadata([("job-id", "7 of 9")])
        .unwrap();
    for (size, line) in [(1, "PUT /reef/a"), (LARGE, "POST /reef/a?uploads")] {
        storage
            .upload_bytes(vec![7; size], &uri("s3://reef/a"))
            .await
            .unwrap();
        let asked = server.next(line).await;
        assert_eq!(asked.header("x-amz-meta-job-id"), Some("7 of 9"));
    }
}

#[tokio::test]
async fn encryption_and_class_are_requested_for_each_object() {
    const ENCRYPTION: &str = "x-amz-server-side-encryption";
    const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
    const CLASS: &str = "x-amz-storage-class";
    let key = Some("alias/reef".to_owned());
    for (encryption, class, expected) in [
        (None, None, [None, None, None]),
        (
            Some(Encryption::Aes256),
            Some(StorageClass::StandardIa),
            [Some("AES256"), None, Some("STANDARD_IA")],
        ),
        (
            Some(Encryption::Kms { key: None }),
            Some(StorageClass::GlacierInstantRetrieval),
            [Some("aws:kms"), None, Some("GLACIER_IR")],
        ),
        (
            Some(Encryption::Kms { key }),
            None,
            [Some("aws:kms"), Some("alias/reef"), None],
        ),
    ] {
        let server = Server::answering(|asked| async move { usual(&asked) }).await;
        let mut server = server.with(|options| {
            options.encryption = encryption;
            options.storage_class = class;
        });
        let storage = server.storage.with_metadata([("job-id", "7")]).unwrap();
        let sent = |asked: &Asked| {
            [ENCRYPTION, KEY, CLASS].map(|name| asked.header(name).map(str::to_owned))
        };
        let expected = expected.map(|value| value.map(str::to_owned));
        for (size, line) in [(1, "PUT /reef/a"), (LARGE, "POST /reef/a?uploads")] {
            let to = uri("s3://reef/a");
            storage.upload_bytes(vec![7; size], &to).await.unwrap();
            assert_eq!(sent(&server.next(line).await), expected);
        }
        // S3 rejects them for a part.
        assert_eq!(sent(&server.next("PUT").await), [None, None, None]);

        let minute = Duration::from_secs(60);
        let put = storage.presign_put(&uri("s3://reef/a"), minute).await;
        let put = put.unwrap();
        let needed = [ENCRYPTION, KEY, CLASS].map(|name| {
            let mut headers = put.headers();
            headers.find(|header| header.0 == name).map(|h| h.1.into())
        });
        assert_eq!(needed, expected);
        let get = storage.presign_get(&uri("s3://reef/a"), minute).await;
        assert_eq!(get.unwrap().headers().count(), 0);
    }
}

#[tokio::test]
async fn single_objects_can_have_another_class() {
    let server = Server::answering(|_| async { stored() }).await;
    let mut server = server.with(|options| options.storage_class = Some(StorageClass::OnezoneIa));
    for class in [None, Some(StorageClass::IntelligentTiering)] {
        let storage = server.storage.with_storage_class(class);
        storage.upload_bytes("", &uri("s3://reef/a")).await.unwrap();
        let asked = server.next("PUT").await;
        let sent = asked.header("x-amz-storage-class");
        assert_eq!(sent, class.map(StorageClass::as_str));
    }
}

#[tokio::test]
async fn a_large_object_is_sent_in_parts_and_completed_with_their_checksums() {
    let mut server = Server::answering(|asked| async move {
        match asked.header("x-amz-checksum-crc32") {
            Some(checksum) => Response::builder()
                .header("etag", "\"part\"")
                .header("x-amz-checksum-crc32", checksum)
                .body(Body::empty())
                .unwrap(),
            None => usual(&asked),
        }
    })
    .await;
    let info = server
        .storage
        .upload_bytes(vec![7; LARGE], &uri("s3://reef/a"))
        .await;
    assert_eq!(info.unwrap().etag.as_deref(), Some("\"e-3\""));
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(server.next("PUT /reef/a?partNumber=").await.body.len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [1 << 20, 8 << 20, 8 << 20]);
    let complete = server.next("POST /reef/a?uploadId=up").await;
    let complete = String::from_utf8(complete.body.to_vec()).unwrap();
    assert_eq!(complete.matches("<ChecksumCRC32>").count(), 3, "{complete}");
    let numbers: Vec<_> = complete
        .split("<PartNumber>")
        .skip(1)
        .map(|rest| &rest[..1])
        .collect();
    assert_eq!(numbers, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_file_that_is_larger_than_any_object_is_refused_by_name_before_anything_is_sent() {
    let mut server = Server::answering(|_| async { stored() }).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    let size = (5 << 40) + 1;
    // A sparse file: it has a size but takes no room.
    if let Err(error) = std::fs::File::create(&file).unwrap().set_len(size) {
        eprintln!("not tried: no file can be that large here: {error}");
        return;
    }
    let to = uri("s3://reef/a");
    let refused = server.storage.upload_file(&file, &to).await.unwrap_err();
    let text =
        format!("cannot store {to}: it would have {size} bytes and an object has at most 5 TiB");
    assert!(refused.to_string().starts_with(&text), "{refused}");
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn an_upload_whose_part_fails_is_aborted() {
    let mut server = Server::answering(|asked| async move {
        match asked.line().as_str() {
            "PUT /reef/a?partNumber=2&uploadId=up" => error(403, "AccessDenied"),
            _ => usual(&asked),
        }
    })
    .await;
    let failed = server
        .storage
        .upload_bytes(vec![7; LARGE], &uri("s3://reef/a"))
        .await;
    assert!(
        matches!(failed, Err(StorageError::AccessDenied { .. })),
        "{failed:?}"
    );
    server.next("DELETE /reef/a?uploadId=up").await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_aborted() {
    let mut server = Server::answering(|asked| async move {
        if asked.line().starts_with("PUT") {
            std::future::pending::<()>().await;
        }
        usual(&asked)
    })
    .await;
    let storage = server.storage.clone();
    let uploading = tokio::spawn(async move {
        storage
            .upload_bytes(vec![7; LARGE], &uri("s3://reef/a"))
            .await
    });
    server.next("PUT").await;
    uploading.abort();
    server.next("DELETE /reef/a?uploadId=up").await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_while_it_begins_is_aborted() {
    let dropped = Arc::new(Notify::new());
    let notify = dropped.clone();
    let mut server = Server::answering(move |asked| {
        let dropped = notify.clone();
        async move {
            if asked.line() == "POST /reef/a?uploads" {
                dropped.notified().await;
            }
            usual(&asked)
        }
    })
    .await;
    let storage = server.storage.clone();
    let uploading = tokio::spawn(async move {
        storage
            .upload_bytes(vec![7; LARGE], &uri("s3://reef/a"))
            .await
    });
    server.next("POST /reef/a?uploads").await;
    uploading.abort();
    uploading.await.unwrap_err();
    dropped.notify_one();
    assert_eq!(server.next("").await.line(), "DELETE /reef/a?uploadId=up");
}

/// A server that answers completions like this, and then has an object of `size` bytes.
async fn completed_unheard<const N: usize>(answers: [fn() -> Response; N], size: usize) -> Server {
    let completions = Arc::new(AtomicUsize::new(0));
    Server::answering(move |asked| {
        let completions = completions.clone();
        async move {
            match asked.line().as_str() {
                "POST /reef/a?uploadId=up" => answers[completions.fetch_add(1, Ordering::SeqCst)](),
                "HEAD /reef/a" => Response::builder()
                    .header("etag", "\"e-3\"")
                    .header("content-length", size)
                    .body(Body::empty())
                    .unwrap(),
                _ => usual(&asked),
            }
        }
    })
    .await
}

/// The object counts if it exists with the right size.
async fn counts_if_it_is_there<const N: usize>(answers: [fn() -> Response; N]) {
    for (size, counts) in [(LARGE, true), (LARGE - 1, false)] {
        let server = completed_unheard(answers, size).await;
        let to = uri("s3://reef/a");
        let stored = server.storage.upload_bytes(vec![7; LARGE], &to).await;
        match stored {
            Ok(stored) => assert!(counts && stored.etag.as_deref() == Some("\"e-3\"")),
            Err(StorageError::Server { .. }) => assert!(!counts),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_completion_that_fails_after_its_answer_began_is_retried() {
    // S3 begins to answer to keep the connection alive, and then may fail to combine the parts.
    let failed = "<Error><Code>InternalError</Code><Message>said the server</Message></Error>";
    for (failures, completes) in [(1, true), (usize::MAX, false)] {
        let completions = Arc::new(AtomicUsize::new(0));
        let mut server = Server::answering(move |asked| {
            let completions = completions.clone();
            async move {
                match asked.line().as_str() {
                    "POST /reef/a?uploadId=up"
                        if completions.fetch_add(1, Ordering::SeqCst) < failures =>
                    {
                        ok(failed)
                    }
                    _ => usual(&asked),
                }
            }
        })
        .await;
        let to = uri("s3://reef/a");
        let stored = server.storage.upload_bytes(vec![7; LARGE], &to).await;
        assert_eq!(stored.is_ok(), completes, "{stored:?}");
        let aborted = server
            .lines()
            .contains(&"DELETE /reef/a?uploadId=up".into());
        assert_eq!(aborted, !completes);
    }
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_counts_if_the_object_exists() {
    let lost: fn() -> Response = || error(500, "InternalError");
    counts_if_it_is_there([lost, || error(404, "NoSuchUpload")]).await;
}

#[tokio::test]
async fn a_completion_that_is_refused_does_not_count_even_if_such_an_object_exists() {
    let server = completed_unheard([|| error(403, "AccessDenied")], LARGE).await;
    let to = uri("s3://reef/a");
    let refused = server.storage.upload_bytes(vec![7; LARGE], &to).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, StorageError::AccessDenied { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_completion_with_an_answer_unlike_s3s_counts_if_the_object_exists() {
    // So does moto.
    counts_if_it_is_there([|| ok("<CompleteMultipartUploadResponse/>")]).await;
}

async fn outputs(folder: &tempfile::TempDir) -> OutputManifest {
    let outputs = Outputs::new(folder.path());
    outputs.write("a", "aa").await.unwrap();
    outputs.write("b", "bbb").await.unwrap();
    outputs.manifest().await.unwrap()
}

#[tokio::test]
async fn outputs_are_published_only_if_the_store_lists_them_completely() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = outputs(&folder).await;
    let (given, other) = ("&quot;0cc175b9&quot;", "&quot;92eb5ffe&quot;");
    for (listed, whole) in [
        (
            vec![("p/a", 2, given), ("p/b", 3, given), ("p/other", 1, other)],
            true,
        ),
        (vec![("p/a", 2, ""), ("p/b", 3, "0cc175b9")], true),
        (vec![("p/a", 2, given), ("p/b", 2, given)], false),
        (vec![("p/a", 2, given), ("p/b", 3, other)], false),
        (vec![("p/a", 2, given)], false),
    ] {
        let mut server = Server::answering(move |asked| {
            let listed = listed.clone();
            async move {
                match asked.line().as_str() {
                    "GET /reef/?list-type=2&prefix=p%2F" => listing_with_etags(&listed),
                    _ => stored(),
                }
            }
        })
        .await;
        let published = publish(&outputs, &server.storage, &uri("s3://reef/p")).await;
        let removed = server
            .lines()
            .iter()
            .filter(|line| line.starts_with("DELETE"))
            .count();
        if whole {
            assert_eq!(published.unwrap().bytes, 5);
            assert_eq!(removed, 0);
        } else {
            let error = published.unwrap_err();
            assert!(error.is_retryable(), "{error:?}");
            let why = std::error::Error::source(&error).unwrap().to_string();
            let named = "cannot store s3://reef/p/b: the store does not list it with its 3 bytes";
            assert!(why.starts_with(named), "{why}");
            assert_eq!(removed, 2);
        }
    }
}

#[tokio::test]
async fn a_publication_that_is_dropped_deletes_what_it_had_begun() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = outputs(&folder).await;
    let mut server = Server::answering(|asked| async move {
        if asked.line().starts_with("PUT") {
            std::future::pending::<()>().await;
        }
        stored()
    })
    .await;
    let storage = server.storage.clone();
    let publishing =
        tokio::spawn(async move { publish(&outputs, &storage, &uri("s3://reef/p")).await });
    server.next("PUT").await;
    server.next("PUT").await;
    publishing.abort();
    let mut removed = [
        server.next("DELETE").await.line(),
        server.next("DELETE").await.line(),
    ];
    removed.sort_unstable();
    assert_eq!(removed, ["DELETE /reef/p/a", "DELETE /reef/p/b"]);
}
