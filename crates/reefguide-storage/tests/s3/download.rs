//! Reading objects.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use reefguide_storage::StorageError;

use crate::server::{Asked, Server, error, listing, ok, uri};

/// The content of the object.
const CONTENT: &str = "0123456789abcdefghij";

/// Answers with the requested range of `CONTENT`, cut off after `sent` bytes.
pub(crate) fn content(asked: &Asked, sent: usize) -> Response {
    let whole = CONTENT.len();
    let range = asked.header("range").map(|range| {
        let range = range.strip_prefix("bytes=").unwrap();
        let (from, to) = range.split_once('-').unwrap();
        (from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap())
    });
    let (from, to) = range.unwrap_or((0, whole - 1));
    let mut answer = Response::builder()
        .header("etag", "\"v1\"")
        .header("content-length", to + 1 - from);
    if range.is_some() {
        answer = answer
            .status(206)
            .header("content-range", format!("bytes {from}-{to}/{whole}"));
    }
    let piece = Bytes::from_static(&CONTENT.as_bytes()[from..=to]);
    if sent >= piece.len() {
        return answer.body(Body::from(piece)).unwrap();
    }
    let pieces = stream::iter([Ok(piece.slice(..sent)), Err(std::io::Error::other("cut"))]);
    // One poll between the two, so that the first is sent.
    let pieces = pieces.then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    answer.body(Body::from_stream(pieces)).unwrap()
}

#[tokio::test]
async fn a_download_that_breaks_off_continues_where_it_was() {
    let mut server = Server::answering(|asked| async move {
        let sent = if asked.header("range").is_none() {
            8
        } else {
            100
        };
        content(&asked, sent)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    let from = uri("s3://reef/a");
    let read = server.storage.download_file(&from, &file).await.unwrap();
    assert_eq!((read.size, read.etag.as_deref()), (20, Some("\"v1\"")));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), CONTENT);
    server.next("GET").await;
    let again = server.next("GET").await;
    assert_eq!(again.header("range"), Some("bytes=8-19"));
    assert_eq!(again.header("if-match"), Some("\"v1\""));
    assert_eq!(server.storage.read(&from, 100).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_download_that_always_breaks_off_fails_and_leaves_no_file() {
    let mut server = Server::answering(|asked| async move { content(&asked, 3) }).await;
    let folder = tempfile::tempdir().unwrap();
    let from = uri("s3://reef/a");
    let failed = server
        .storage
        .download_file(&from, &folder.path().join("a"))
        .await;
    let failed = failed.unwrap_err();
    assert!(matches!(failed, StorageError::Broken { .. }), "{failed:?}");
    assert!(failed.is_retryable());
    assert_eq!(server.lines().len(), 4);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn two_versions_of_an_object_are_not_mixed() {
    let server = Server::answering(|asked| async move {
        match asked.header("if-match") {
            Some(_) => error(412, "PreconditionFailed"),
            None => content(&asked, 8),
        }
    })
    .await;
    let failed = server
        .storage
        .read(&uri("s3://reef/a"), 100)
        .await
        .unwrap_err();
    assert!(matches!(failed, StorageError::Broken { .. }), "{failed:?}");
}

#[tokio::test]
async fn content_that_does_not_match_its_checksum_is_refused() {
    let server = Server::answering(|asked| async move {
        let mut answer = content(&asked, 100);
        let wrong = HeaderMap::from_iter([(
            "x-amz-checksum-crc32".parse().unwrap(),
            "AAAAAA==".parse().unwrap(),
        )]);
        answer.headers_mut().extend(wrong);
        answer
    })
    .await;
    let failed = server
        .storage
        .read(&uri("s3://reef/a"), 100)
        .await
        .unwrap_err();
    assert!(matches!(failed, StorageError::Broken { .. }), "{failed:?}");
}

#[tokio::test]
async fn keys_that_lead_out_of_the_folder_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    for key in ["p/../../x", "p//x", "p/a/./x", "p/a\\x"] {
        let server = Server::answering(move |asked| async move {
            match asked.line().as_str() {
                "GET /reef/?list-type=2&prefix=p%2F" => listing(&[(key, 1)]),
                _ => ok("x"),
            }
        })
        .await;
        let failed = server
            .storage
            .download_folder(&uri("s3://reef/p"), &to)
            .await;
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains(&format!("s3://reef/{key}:")), "{failed}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn empty_objects_that_mark_folders_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering(|asked| async move {
        match asked.line().as_str() {
            "GET /reef/?list-type=2&prefix=p%2F" => {
                listing(&[("p/", 0), ("p/charts/", 0), ("p/charts/a", 1)])
            }
            _ => ok("x"),
        }
    })
    .await;
    let moved = server
        .storage
        .download_folder(&uri("s3://reef/p"), folder.path())
        .await;
    assert_eq!(moved.unwrap().files, 1);
    assert_eq!(std::fs::read(folder.path().join("charts/a")).unwrap(), b"x");
}
