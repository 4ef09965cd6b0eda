//! Downloads over presigned URLs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use reefguide_client::{DownloadedFile, PresignedDownloads, PresignedError, VerifiedBy};
use reefguide_transport::TransferProgress;
use tempfile::TempDir;

use crate::server::{Asked, Server};

const CONTENT: &str = "0123456789abcdefghij";

/// The answers to the requests in order; the last one is for all that follow.
type Answers = Vec<Answer>;
type Answer = fn(&Asked) -> Response;

/// The result of downloading `charts/a.json`, the files it leaves in the folder, and the requested ranges.
struct RequestTries {
    done: Result<DownloadedFile, PresignedError>,
    folder: TempDir,
    ranges: Vec<Option<String>>,
    progress: TransferProgress,
}

impl RequestTries {
    fn content(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("charts/a.json")).unwrap()
    }
}

async fn download(answers: Answers) -> RequestTries {
    let next = Arc::new(AtomicUsize::new(0));
    let mut server = Server::answering(move |asked| {
        let turn = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        std::future::ready(answers[turn](&asked))
    })
    .await;
    let (folder, progress) = (tempfile::tempdir().unwrap(), TransferProgress::default());
    let links = PresignedDownloads::new().unwrap().with_progress(&progress);
    let url = format!("{}/reef/a.json?X-Amz-Signature=secret", server.endpoint);
    let path = "charts/a.json".parse().unwrap();
    let done = links.download(&url, folder.path(), &path).await;
    let mut ranges = Vec::new();
    while let Ok(asked) = server.asked.try_recv() {
        assert_eq!(
            asked.header("if-match").is_some(),
            asked.header("range").is_some()
        );
        ranges.push(asked.header("range").map(str::to_owned));
    }
    RequestTries {
        done,
        folder,
        ranges,
        progress,
    }
}

/// The whole content, with these headers, and an ETag that is not an MD5.
fn whole(headers: &[(&str, &str)]) -> Response {
    let mut answer = Response::builder();
    if headers.iter().all(|(name, _)| *name != "etag") {
        answer = answer.header("etag", "\"v0\"");
    }
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Body::from(CONTENT)).unwrap()
}

/// The first ten bytes, and a broken connection.
fn cut() -> Response {
    let answer = Response::builder()
        .header("content-length", CONTENT.len())
        .header("etag", "\"v1\"");
    let pieces = [
        Ok(Bytes::from_static(&CONTENT.as_bytes()[..10])),
        Err(std::io::Error::other("cut")),
    ];
    // One poll between the two, so that the first is sent.
    let pieces = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    answer.body(Body::from_stream(pieces)).unwrap()
}

fn rest(from: usize) -> Response {
    let answer = Response::builder()
        .status(206)
        .header("etag", "\"v1\"")
        .header("content-range", format!("bytes {from}-19/20"));
    answer.body(Body::from(&CONTENT[from..])).unwrap()
}

fn status(status: u16) -> Response {
    Response::builder()
        .status(status)
        .header("x-amz-request-id", "4442587FB7D0A2F9")
        .body(Body::empty())
        .unwrap()
}

/// A proxy's page, which may have its own ETag.
fn page(status: u16, etag: bool) -> Response {
    let mut page = Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8");
    if etag {
        page = page.header("etag", "\"5f3e-1a2\"");
    }
    let html = "<!doctype html>\n<html><head><title>Down for\n maintenance</title>";
    page.body(Body::from(html)).unwrap()
}

#[tokio::test]
async fn a_file_is_compared_with_everything_that_the_server_says_about_it() {
    let cases: [(Answer, VerifiedBy); 6] = [
        (
            |_| whole(&[("x-amz-checksum-crc32", "Y4wNKQ==")]),
            VerifiedBy::Checksum,
        ),
        (
            |_| whole(&[("etag", "\"644be06dfc54061fd1e67f5ebbabcd58\"")]),
            VerifiedBy::Md5,
        ),
        (
            |_| whole(&[("etag", "\"85dcbabbe5f76e1df16045cfd60eb446-2\"")]),
            VerifiedBy::Length,
        ),
        (
            |_| whole(&[("x-amz-checksum-crc32", "Y4wNKQ==-2")]),
            VerifiedBy::Length,
        ),
        (
            |_| {
                whole(&[
                    ("etag", "\"85dcbabbe5f76e1df16045cfd60eb446\""),
                    ("x-amz-server-side-encryption", "aws:kms"),
                ])
            },
            VerifiedBy::Length,
        ),
        (|_| whole(&[]), VerifiedBy::Length),
    ];
    for (nth, (answer, compared)) in cases.into_iter().enumerate() {
        let tried = download(vec![answer]).await;
        let file = tried.done.as_ref().unwrap();
        assert_eq!((file.size, file.verified_by), (20, compared), "case {nth}");
        assert_eq!(tried.content(), CONTENT);
        assert_eq!(tried.progress.now().to_string(), "1 of 1 files, 1 of 1 KiB");
    }
}

#[tokio::test]
async fn a_file_that_differs_from_the_servers_description_is_tried_four_times_and_leaves_nothing() {
    let wrong: [Answer; 2] = [
        |_| whole(&[("x-amz-checksum-crc32", "AAAAAA==")]),
        |_| whole(&[("etag", "\"00000000000000000000000000000000\"")]),
    ];
    for answer in wrong {
        let tried = download(vec![answer]).await;
        let error = tried.done.as_ref().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot download charts/a.json: its checksum does not match what arrived"
        );
        assert_eq!(tried.ranges, [const { None::<String> }; 4]);
        let left = std::fs::read_dir(tried.folder.path().join("charts")).unwrap();
        assert_eq!(left.count(), 0);
    }
}

#[tokio::test]
async fn a_download_that_broke_off_continues_where_it_was() {
    let tried = download(vec![|_| cut(), |_| status(503), |_| rest(10)]).await;
    assert_eq!(tried.done.as_ref().unwrap().size, 20);
    assert_eq!(tried.content(), CONTENT);
    let from_10 = Some("bytes=10-".to_owned());
    assert_eq!(tried.ranges, [None, from_10.clone(), from_10]);
    assert_eq!(tried.progress.now().bytes, 20);
}

#[tokio::test]
async fn a_download_that_cannot_continue_starts_again() {
    // The server does not support ranges; the object was replaced; the range is another one.
    let on = Some("bytes=10-".to_owned());
    let cases: [(Answers, Vec<Option<String>>); 3] = [
        (vec![|_| cut(), |_| whole(&[])], vec![None, on.clone()]),
        (
            vec![|_| cut(), |_| status(412), |_| whole(&[])],
            vec![None, on.clone(), None],
        ),
        (
            vec![|_| cut(), |_| rest(5), |_| whole(&[])],
            vec![None, on, None],
        ),
    ];
    for (nth, (answers, ranges)) in cases.into_iter().enumerate() {
        let tried = download(answers).await;
        assert_eq!(tried.done.as_ref().unwrap().size, 20, "case {nth}");
        assert_eq!(tried.content(), CONTENT);
        assert_eq!(tried.ranges, ranges, "case {nth}");
    }
}

#[tokio::test]
async fn a_page_in_place_of_the_object_is_retried_and_then_reported() {
    let pages: [(Answer, &str); 5] = [
        (
            |_| page(200, false),
            "200 with text/html; charset=utf-8 (\"Down for maintenance\") and without an ETag",
        ),
        (|_| page(200, true), "any header of S3 but an ETag"),
        (|_| page(404, false), "404 with text/html"),
        (|_| page(403, false), "without XML of S3"),
        (
            |_| {
                let mut redirect = page(302, false);
                let to = "https://me:secret@login.example/in?X-Amz-Signature=secret";
                redirect
                    .headers_mut()
                    .insert("location", to.parse().unwrap());
                redirect
            },
            "302, a redirect to https://login.example/in, which is not followed",
        ),
    ];
    for (page, said) in pages {
        let tried = download(vec![page]).await;
        let error = tried.done.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(said) && !text.contains("secret"), "{text}");
        assert!(error.is_retryable(), "{text}");
        assert_eq!(tried.ranges.len(), 4);
        let passed = download(vec![|_| cut(), page, |_| rest(10)]).await;
        assert_eq!(passed.content(), CONTENT);
    }
}

#[tokio::test]
async fn a_refusal_is_reported_without_the_signature_and_not_repeated() {
    let tried = download(vec![|_| {
        let body = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
        Response::builder().status(403).body(Body::from(body)).unwrap()
    }])
    .await;
    let error = tried.done.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(
        said.contains(" answered 403 (AccessDenied: Request has expired)"),
        "{said}"
    );
    assert!(!said.contains("secret") && !error.is_retryable(), "{said}");
    assert_eq!(tried.ranges.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_without_the_signature() {
    let (folder, links) = (
        tempfile::tempdir().unwrap(),
        PresignedDownloads::new().unwrap(),
    );
    let path = "a".parse().unwrap();
    let url = "http://127.0.0.1:1/reef/a?X-Amz-Signature=secret";
    let error = links.download(url, folder.path(), &path).await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(
        error.is_retryable() && said.contains("http://127.0.0.1:1 cannot be reached"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}
