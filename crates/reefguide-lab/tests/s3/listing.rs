use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use futures_util::{StreamExt, stream};

use crate::server::{Server, code};

fn keys(page: &ListObjectsV2Output) -> Vec<&str> {
    page.contents()
        .iter()
        .filter_map(|object| object.key())
        .collect()
}

fn prefixes(page: &ListObjectsV2Output) -> Vec<&str> {
    page.common_prefixes()
        .iter()
        .filter_map(|prefix| prefix.prefix())
        .collect()
}

async fn with(keys: &[&str]) -> Server {
    let server = Server::start().await;
    for key in keys {
        server.put(key, *key).await;
    }
    server
}

#[tokio::test]
async fn a_listing_has_the_keys_of_a_prefix_with_tags_and_sizes_in_byte_order() {
    let server = with(&["b", "a/é", "a/z", "a/Z", "a/\u{fffd}", "a/🐠", "a"]).await;
    let page = server.list_objects_v2().prefix("a/").send().await.unwrap();
    assert_eq!(keys(&page), ["a/Z", "a/z", "a/é", "a/\u{fffd}", "a/🐠"]);
    assert_eq!(page.key_count(), Some(5));
    assert_eq!(page.is_truncated(), Some(false));
    let z = &page.contents()[1];
    assert_eq!(z.size(), Some(3));
    let head = server.head_object("a/z").send().await.unwrap();
    assert_eq!(z.e_tag(), head.e_tag());
    assert_eq!(
        z.last_modified().unwrap().secs(),
        head.last_modified().unwrap().secs()
    );
    let first = server.list_objects_v2().prefix("a").max_keys(2);
    assert_eq!(keys(&first.send().await.unwrap()), ["a", "a/Z"]);
}

#[tokio::test]
async fn a_delimiter_rolls_keys_up_into_common_prefixes() {
    let server = with(&["a", "a/1", "a/2", "a/b/3", "c//d", "c/e", "f"]).await;
    let list = || server.list_objects_v2().delimiter("/");
    let page = list().send().await.unwrap();
    assert_eq!(keys(&page), ["a", "f"]);
    assert_eq!(prefixes(&page), ["a/", "c/"]);
    let page = list().prefix("a/").send().await.unwrap();
    assert_eq!(keys(&page), ["a/1", "a/2"]);
    assert_eq!(prefixes(&page), ["a/b/"]);
    let page = list().prefix("c/").send().await.unwrap();
    assert_eq!(prefixes(&page), ["c//"]);
}

#[tokio::test]
async fn pages_of_one_entry_have_every_key_and_common_prefix_once() {
    let server = with(&["a", "b/1", "b/2", "b/3", "c", "d/1", "e"]).await;
    let list = || server.list_objects_v2().delimiter("/").max_keys(1);
    let mut page = list().send().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..10 {
        assert_eq!(page.key_count(), Some(1));
        seen.extend(keys(&page).into_iter().map(str::to_owned));
        seen.extend(prefixes(&page).into_iter().map(str::to_owned));
        let Some(token) = page.next_continuation_token() else {
            break;
        };
        page = list().continuation_token(token).send().await.unwrap();
    }
    assert_eq!(seen, ["a", "b/", "c", "d/", "e"]);
    assert_eq!(page.is_truncated(), Some(false));

    let mut marker = String::new();
    let mut seen = Vec::new();
    for _ in 0..10 {
        let list = server.list_objects().delimiter("/").max_keys(1);
        let page = list.marker(&marker).send().await.unwrap();
        seen.extend(
            page.contents()
                .iter()
                .filter_map(|object| object.key().map(str::to_owned)),
        );
        let prefixes = page.common_prefixes().iter();
        seen.extend(prefixes.filter_map(|prefix| prefix.prefix().map(str::to_owned)));
        let Some(next) = page.next_marker() else {
            break;
        };
        marker = next.to_owned();
    }
    assert_eq!(seen, ["a", "b/", "c", "d/", "e"]);
}

#[tokio::test]
async fn start_after_starts_after_a_key() {
    let server = with(&["a", "b", "c"]).await;
    let list = server.list_objects_v2().start_after("a");
    assert_eq!(keys(&list.send().await.unwrap()), ["b", "c"]);
    let list = server.list_objects_v2().start_after("aa").prefix("b");
    assert_eq!(keys(&list.send().await.unwrap()), ["b"]);
}

#[tokio::test]
async fn a_listing_is_escaped_on_request() {
    let server = with(&["a b/+%&é\u{1}"]).await;
    let list = server.list_objects_v2().prefix("a ");
    let page = list.encoding_type(EncodingType::Url).send().await.unwrap();
    assert_eq!(keys(&page), ["a%20b/%2B%25%26%C3%A9%01"]);
    assert_eq!(page.prefix(), Some("a%20"));
    assert_eq!(page.encoding_type(), Some(&EncodingType::Url));
}

#[tokio::test]
async fn more_than_a_thousand_keys_come_in_pages() {
    let server = Server::start().await;
    let expected: Vec<String> = (0..1005).map(|number| format!("{number:04}")).collect();
    stream::iter(&expected)
        .for_each_concurrent(8, |key| async { drop(server.put(key, "").await) })
        .await;
    let pages = server.list_objects_v2().into_paginator().send();
    let pages: Vec<_> = pages.collect::<Result<_, _>>().await.unwrap();
    let sizes: Vec<_> = pages.iter().map(|page| page.contents().len()).collect();
    assert_eq!(sizes, [1000, 5]);
    let seen: Vec<&str> = pages.iter().flat_map(keys).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_of_no_entries_is_empty_and_an_unknown_token_is_refused() {
    let server = with(&["a"]).await;
    let list = || server.list_objects_v2();
    let page = list().max_keys(0).send().await.unwrap();
    assert_eq!(
        (page.key_count(), page.is_truncated()),
        (Some(0), Some(false))
    );
    assert_eq!(code(list().max_keys(-1).send().await), "InvalidArgument");
    assert_eq!(
        code(list().continuation_token("*").send().await),
        "InvalidArgument"
    );
}
