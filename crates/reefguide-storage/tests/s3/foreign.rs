//! Which answers count as S3's.

use axum::body::Body;
use axum::response::Response;
use reefguide_storage::StorageError;

use crate::server::{Server, uri};

type Answer = fn() -> Response;

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.into()).unwrap()
}

const HTML: (&str, &str) = ("content-type", "text/html; charset=UTF-8");
const ETAG: (&str, &str) = ("etag", "\"5f3e-1a2\"");

async fn server(answer: Answer) -> Server {
    Server::answering(move |_| async move { answer() }).await
}

#[tokio::test]
async fn pages_of_many_kinds_do_not_count_as_objects() {
    let pages: [(Answer, &str); 8] = [
        // An application that shows its first page for every path, with its own ETag.
        (
            || answer(200, &[HTML, ETAG], "<html><title>App</title>"),
            "200 with text/html; charset=UTF-8 (\"App\") and without any header of S3 but an ETag",
        ),
        (
            || {
                answer(
                    200,
                    &[HTML, ETAG, ("x-amz-cf-id", "a"), ("x-amz-apigw-id", "b")],
                    "",
                )
            },
            "without any header of S3 but an ETag",
        ),
        (
            || {
                answer(
                    200,
                    &[("content-type", "application/json")],
                    r#"{"token": "secret"}"#,
                )
            },
            "200 with application/json and without an ETag",
        ),
        (
            || answer(200, &[], "some content"),
            "200 without a content type and without an ETag",
        ),
        (
            || answer(404, &[], ""),
            "404 without a content type and without XML of S3",
        ),
        (
            || {
                answer(
                    404,
                    &[("content-type", "application/json")],
                    r#"{"message":"Not Found"}"#,
                )
            },
            r#"404 with application/json ("{\"message\":\"Not Found\"}")"#,
        ),
        // More than is read.
        (
            || answer(503, &[HTML], "<p>".repeat(100_000)),
            "503 with text/html",
        ),
        (
            || {
                answer(
                    403,
                    &[HTML],
                    "<html><body>Signature=secret &amp; X-Amz-Credential=secret",
                )
            },
            "403 with text/html; charset=UTF-8 and without XML of S3",
        ),
    ];
    for (page, said) in pages {
        let mut server = server(page).await;
        let error = server.storage.read(&uri("s3://reef/a.tif"), 9).await;
        let error = error.unwrap_err();
        assert!(matches!(error, StorageError::Foreign { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(said), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(server.lines(), ["GET /reef/a.tif"; 4]);
    }
}

#[tokio::test]
async fn objects_from_servers_that_send_few_headers_count() {
    let objects: [(Answer, &str); 4] = [
        (|| answer(200, &[ETAG], "content"), "a.tif"),
        (|| answer(200, &[ETAG, HTML], "content"), "report.html"),
        (
            || answer(200, &[ETAG, HTML, ("x-amz-request-id", "7")], "content"),
            "a",
        ),
        (
            || {
                answer(
                    200,
                    &[ETAG, HTML, ("x-amz-checksum-type", "FULL_OBJECT")],
                    "content",
                )
            },
            "a",
        ),
    ];
    for (object, key) in objects {
        let server = server(object).await;
        let object = uri(&format!("s3://reef/{key}"));
        assert_eq!(server.storage.read(&object, 9).await.unwrap(), "content");
        server.storage.info(&object).await.unwrap();
    }
}

#[tokio::test]
async fn the_headers_decide_whether_an_answer_without_a_body_is_s3s() {
    let own: [Answer; 4] = [
        || answer(404, &[("x-amz-request-id", "7")], ""),
        || answer(404, &[("x-amzn-requestid", "7"), HTML], ""),
        || answer(404, &[("content-type", "application/xml")], ""),
        || answer(404, &[("content-type", "text/xml; charset=utf-8")], ""),
    ];
    for own in own {
        let server = server(own).await;
        let error = server.storage.info(&uri("s3://reef/a")).await.unwrap_err();
        assert!(
            matches!(error, StorageError::NoSuchObject { .. }),
            "{error:?}"
        );
    }
    let foreign: [Answer; 4] = [
        || answer(404, &[HTML], ""),
        || answer(404, &[], ""),
        || answer(404, &[("x-amz-cf-id", "7")], ""),
        || answer(403, &[("content-type", "application/json")], ""),
    ];
    for foreign in foreign {
        let server = server(foreign).await;
        let error = server.storage.info(&uri("s3://reef/a")).await.unwrap_err();
        assert!(matches!(error, StorageError::Foreign { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_deletion_counts_if_the_answer_is_empty_or_has_a_header_of_s3() {
    let own: [Answer; 3] = [
        || answer(204, &[], ""),
        || answer(200, &[], ""),
        || answer(200, &[HTML, ("x-amz-request-id", "7")], ""),
    ];
    for own in own {
        let server = server(own).await;
        server.storage.delete(&uri("s3://reef/a")).await.unwrap();
    }
    let foreign: [Answer; 3] = [
        || answer(204, &[HTML], ""),
        || answer(200, &[], "ok"),
        || answer(302, &[("location", "/login?next=secret")], ""),
    ];
    for foreign in foreign {
        let server = server(foreign).await;
        let error = server
            .storage
            .delete(&uri("s3://reef/a"))
            .await
            .unwrap_err();
        assert!(matches!(error, StorageError::Foreign { .. }), "{error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_listing_is_xml_of_any_content_type_and_with_any_prolog() {
    let xml = "\u{feff}<?xml version=\"1.0\"?>\n<!-- page -->\n<ListBucketResult \
               xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>\
               <Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";
    for html in [false, true] {
        let server = Server::answering(move |_| async move {
            answer(
                200,
                if html { &[HTML] } else { &[] },
                &xml[if html { 3 } else { 0 }..],
            )
        });
        let listed = server.await.storage.list(&uri("s3://reef")).await.unwrap();
        assert_eq!(listed.len(), 1);
    }
    let pages: [Answer; 3] = [
        || answer(200, &[HTML], "<!DOCTYPE html><html></html>"),
        || {
            answer(
                200,
                &[("content-type", "application/xml")],
                "<rss><channel/></rss>",
            )
        },
        || answer(200, &[("content-type", "application/xml")], ""),
    ];
    for page in pages {
        let error = server(page).await.storage.list(&uri("s3://reef")).await;
        let error = error.unwrap_err();
        assert!(matches!(error, StorageError::Foreign { .. }), "{error:?}");
    }
}
