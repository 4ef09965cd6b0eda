use aws_sdk_s3::primitives::{ByteStream, DateTime};

use crate::server::{Server, code, status};

#[tokio::test]
async fn if_none_match_any_allows_only_the_first_put() {
    let server = Server::start().await;
    let put = |body: &'static [u8]| {
        let put = server.put_object("key").if_none_match("*");
        put.body(ByteStream::from_static(body)).send()
    };
    put(b"first").await.unwrap();
    assert_eq!(code(put(b"second").await), "PreconditionFailed");
    assert_eq!(server.get("key").await, b"first");
    assert_eq!(server.files(), 1);
}

#[tokio::test]
async fn if_match_allows_a_put_with_the_current_entity_tag() {
    let server = Server::start().await;
    let put = |etag: &str| server.put_object("key").if_match(etag);
    assert_eq!(code(put("\"any\"").send().await), "NoSuchKey");
    let etag = server.put("key", "first").await;
    assert_eq!(code(put("\"another\"").send().await), "PreconditionFailed");
    put(&etag).send().await.unwrap();
    assert_eq!(server.get("key").await, b"");
}

#[tokio::test]
async fn if_match_allows_a_deletion_with_the_current_entity_tag() {
    let server = Server::start().await;
    let etag = server.put("key", "first").await;
    let delete = || server.delete_object("key");
    assert_eq!(
        code(delete().if_match("\"another\"").send().await),
        "PreconditionFailed"
    );
    delete().if_match(etag).send().await.unwrap();
    assert_eq!(server.files(), 0);
}

#[tokio::test]
async fn a_read_is_refused_if_the_object_has_changed() {
    let server = Server::start().await;
    let etag = server.put("key", "bytes").await;
    let get = || server.get_object("key");
    let head = || server.head_object("key");
    get().if_match(&etag).send().await.unwrap();
    get().if_match("*").send().await.unwrap();
    assert_eq!(
        code(get().if_match("\"another\"").send().await),
        "PreconditionFailed"
    );
    assert_eq!(status(head().if_match("\"another\"").send().await), 412);
    let long_ago = DateTime::from_secs(1_000_000_000);
    assert_eq!(
        status(get().if_unmodified_since(long_ago).send().await),
        412
    );
    // The entity tag takes precedence over the time.
    get()
        .if_match(&etag)
        .if_unmodified_since(long_ago)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_read_is_not_modified_if_the_client_has_the_object() {
    let server = Server::start().await;
    let etag = server.put("key", "bytes").await;
    let get = || server.get_object("key");
    let head = || server.head_object("key");
    let known = get().if_none_match(&etag).send().await.unwrap_err();
    let answer = known.raw_response().unwrap();
    assert_eq!(answer.status().as_u16(), 304);
    assert_eq!(answer.headers().get("etag"), Some(etag.as_str()));
    assert_eq!(answer.body().bytes(), Some(&b""[..]));
    assert_eq!(status(head().if_none_match(&etag).send().await), 304);
    get().if_none_match("\"another\"").send().await.unwrap();

    let modified = *head().send().await.unwrap().last_modified().unwrap();
    assert_eq!(status(get().if_modified_since(modified).send().await), 304);
    let before = DateTime::from_secs(modified.secs() - 1);
    get().if_modified_since(before).send().await.unwrap();
    get()
        .if_none_match("\"another\"")
        .if_modified_since(modified)
        .send()
        .await
        .unwrap();
}
