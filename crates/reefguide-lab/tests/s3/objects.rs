use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, MetadataDirective, ObjectIdentifier};

use crate::server::{BUCKET, Server, bytes, code, status};

#[tokio::test]
async fn an_object_is_returned_with_all_its_headers() {
    let server = Server::start().await;
    let put = server
        .put_object("report.json")
        .content_type("application/json")
        .cache_control("no-store")
        .content_encoding("gzip")
        .content_disposition("attachment")
        .content_language("en")
        .metadata("job", "17")
        .body(ByteStream::from_static(b"{}"))
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"99914b932bd37a50b983c5e7c90ae93b\""));

    let get = server.get_object("report.json").send().await.unwrap();
    assert_eq!(get.e_tag(), put.e_tag());
    assert_eq!(get.content_type(), Some("application/json"));
    assert_eq!(get.cache_control(), Some("no-store"));
    assert_eq!(get.content_encoding(), Some("gzip"));
    assert_eq!(get.content_disposition(), Some("attachment"));
    assert_eq!(get.content_language(), Some("en"));
    assert_eq!(get.metadata().unwrap()["job"], "17");
    assert!(get.last_modified().is_some());
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"{}");

    let head = server.head_object("report.json").send().await.unwrap();
    assert_eq!(head.e_tag(), put.e_tag());
    assert_eq!(head.content_length(), Some(2));
    assert_eq!(head.content_type(), Some("application/json"));
    assert_eq!(head.metadata().unwrap()["job"], "17");
}

#[tokio::test]
async fn an_empty_object_and_a_large_one_are_returned_whole() {
    let server = Server::start().await;
    let large = bytes(3_000_001, 1);
    server.put("empty", "").await;
    server.put("large", large.clone()).await;
    assert_eq!(server.get("empty").await, b"");
    assert!(server.get("large").await == large);
}

#[tokio::test]
async fn a_missing_key_is_reported_and_its_deletion_succeeds() {
    let server = Server::start().await;
    let get = server.get_object("missing").send().await;
    assert!(
        get.as_ref()
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_no_such_key()
    );
    assert_eq!(status(server.head_object("missing").send().await), 404);
    server.delete_object("missing").send().await.unwrap();
}

#[tokio::test]
async fn deleting_an_object_removes_its_file() {
    let server = Server::start().await;
    server.put("key", "bytes").await;
    assert_eq!(server.files(), 1);
    server.delete_object("key").send().await.unwrap();
    let get = server.get_object("key").send().await;
    assert_eq!(code(get), "NoSuchKey");
    assert_eq!(server.files(), 0);
}

#[tokio::test]
async fn a_range_returns_its_bytes() {
    let server = Server::start().await;
    server.put("key", "0123456789").await;
    for (range, bytes, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
    ] {
        let get = server.get_object("key").range(range);
        let get = get.send().await.unwrap();
        assert_eq!(get.content_range(), Some(content_range), "{range}");
        assert_eq!(
            get.body.collect().await.unwrap().to_vec(),
            bytes.as_bytes(),
            "{range}"
        );
    }
    let beyond = server.get_object("key").range("bytes=10-");
    let beyond = beyond.send().await;
    assert_eq!(
        beyond
            .as_ref()
            .unwrap_err()
            .raw_response()
            .unwrap()
            .status()
            .as_u16(),
        416
    );
    assert_eq!(code(beyond), "InvalidRange");
}

#[tokio::test]
async fn a_copy_has_the_bytes_of_its_source_and_its_headers_or_new_ones() {
    let server = Server::start().await;
    let client = &server.client;
    client
        .create_bucket()
        .bucket("second")
        .send()
        .await
        .unwrap();
    let put = server.put_object("a b/+%é").metadata("job", "17");
    put.body(ByteStream::from_static(b"bytes"))
        .send()
        .await
        .unwrap();
    let source = format!("{BUCKET}/a%20b/%2B%25%C3%A9");

    let copy = client
        .copy_object()
        .bucket("second")
        .key("copy")
        .copy_source(&source);
    copy.send().await.unwrap();
    let get = client
        .get_object()
        .bucket("second")
        .key("copy")
        .send()
        .await
        .unwrap();
    assert_eq!(get.metadata().unwrap()["job"], "17");
    assert_eq!(get.body.collect().await.unwrap().to_vec(), b"bytes");

    let onto_itself = server.copy_object("a b/+%é").copy_source(&source);
    assert_eq!(code(onto_itself.clone().send().await), "InvalidRequest");
    onto_itself
        .metadata_directive(MetadataDirective::Replace)
        .metadata("job", "18")
        .send()
        .await
        .unwrap();
    let head = server.head_object("a b/+%é").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["job"], "18");

    let guarded = client
        .copy_object()
        .bucket("second")
        .key("c")
        .copy_source(&source);
    let guarded = guarded.copy_source_if_match("\"another\"");
    assert_eq!(code(guarded.send().await), "PreconditionFailed");
    let missing = client
        .copy_object()
        .bucket("second")
        .key("c")
        .copy_source("reef/missing");
    assert_eq!(code(missing.send().await), "NoSuchKey");
}

#[tokio::test]
async fn many_objects_are_deleted_at_once_and_each_is_reported() {
    let server = Server::start().await;
    server.put("a", "1").await;
    server.put("b&<c>", "2").await;
    server.put("kept", "3").await;
    let object = |key: &str| ObjectIdentifier::builder().key(key);
    let delete = Delete::builder()
        .objects(object("a").build().unwrap())
        .objects(object("b&<c>").build().unwrap())
        .objects(object("missing").build().unwrap())
        .objects(object("kept").e_tag("\"another\"").build().unwrap());
    let delete = server
        .client
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete.build().unwrap());
    let answer = delete.send().await.unwrap();
    let deleted: Vec<_> = answer
        .deleted()
        .iter()
        .filter_map(|one| one.key())
        .collect();
    assert_eq!(deleted, ["a", "b&<c>", "missing"]);
    assert_eq!(answer.errors()[0].key(), Some("kept"));
    assert_eq!(answer.errors()[0].code(), Some("PreconditionFailed"));
    assert_eq!(server.keys(), ["kept"]);
}
