use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType};

use super::{BUCKET, Server, bytes, client_config, code};

/// Well-known checksums of `123456789`.
const CHECKSUMS: [(&str, &str); 5] = [
    ("crc32", "y/Q5Jg=="),
    ("crc32c", "4waSgw=="),
    ("crc64nvme", "rosUhgyZmIg="),
    ("sha1", "98O8HYCOBHMqCKZZvk19qr9I5ls="),
    ("sha256", "FeKw09M9v6MLV7ceo42lnnMg7BNCpRpnS0yBj6fGjiU="),
];

/// A client that adds no checksum of its own.
fn plain(server: &Server) -> Client {
    let config = client_config(server.address)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Client::from_conf(config.build())
}

#[tokio::test]
async fn the_sdk_default_checksum_arrives_in_a_trailer_and_is_given_back() {
    let server = Server::start().await;
    let path = server.folder.path().join("upload");
    let content = bytes(200_000, 2);
    std::fs::write(&path, &content).unwrap();
    let body = ByteStream::from_path(&path).await.unwrap();
    let put = server
        .client
        .put_object()
        .bucket(BUCKET)
        .key("key")
        .body(body);
    let put = put.send().await.unwrap();
    let head = server.client.head_object().bucket(BUCKET).key("key");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert!(put.checksum_crc32().is_some());
    assert_eq!(head.checksum_crc32(), put.checksum_crc32());
    assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
    assert_eq!(head.content_encoding(), None);
    assert!(server.get("key").await == content);
}

#[tokio::test]
async fn every_algorithm_of_the_sdk_is_accepted() {
    let server = Server::start().await;
    for algorithm in ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"] {
        let put = server.client.put_object().bucket(BUCKET).key(algorithm);
        let put = put.checksum_algorithm(ChecksumAlgorithm::from(algorithm));
        put.body(ByteStream::from_static(b"123456789"))
            .send()
            .await
            .unwrap();
        let head = server.client.head_object().bucket(BUCKET).key(algorithm);
        let head = head
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap();
        let found = [
            head.checksum_crc32(),
            head.checksum_crc32_c(),
            head.checksum_crc64_nvme(),
            head.checksum_sha1(),
            head.checksum_sha256(),
        ];
        let (at, _) = CHECKSUMS
            .iter()
            .enumerate()
            .find(|(_, (name, _))| name.eq_ignore_ascii_case(algorithm))
            .unwrap();
        assert_eq!(found[at], Some(CHECKSUMS[at].1), "{algorithm}");
        assert_eq!(found.into_iter().flatten().count(), 1, "{algorithm}");
    }
}

#[tokio::test]
async fn a_checksum_in_a_header_is_verified() {
    let server = Server::start().await;
    let client = plain(&server);
    for (name, value) in CHECKSUMS {
        let put = |body: &'static [u8]| {
            let put = client.put_object().bucket(BUCKET).key(name);
            let put = put.body(ByteStream::from_static(body)).customize();
            put.mutate_request(move |request| {
                request
                    .headers_mut()
                    .insert(format!("x-amz-checksum-{name}"), value);
            })
            .send()
        };
        put(b"123456789").await.unwrap();
        assert_eq!(code(put(b"12345678x").await), "BadDigest", "{name}");
        assert_eq!(server.get(name).await, b"123456789", "{name}");
    }
    assert_eq!(server.files(), CHECKSUMS.len());
}

#[tokio::test]
async fn two_checksums_are_refused() {
    let server = Server::start().await;
    let put = plain(&server).put_object().bucket(BUCKET).key("key");
    let put = put.checksum_crc32("y/Q5Jg==").checksum_crc32_c("4waSgw==");
    let put = put.body(ByteStream::from_static(b"123456789"));
    assert_eq!(code(put.send().await), "InvalidRequest");
}

#[tokio::test]
async fn content_md5_is_verified() {
    let server = Server::start().await;
    let put = |md5: &str| {
        let put = server
            .client
            .put_object()
            .bucket(BUCKET)
            .key("key")
            .content_md5(md5);
        put.body(ByteStream::from_static(b"123456789")).send()
    };
    put("JfnnlDI7RTiF9RgfG2JNCw==").await.unwrap();
    assert_eq!(code(put("XUFAKrxLKna5cZ2REBfFkg==").await), "BadDigest");
    assert_eq!(code(put("short").await), "InvalidDigest");
    assert_eq!(server.files(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_what_was_signed_is_refused() {
    let server = Server::start().await;
    let put = plain(&server).put_object().bucket(BUCKET).key("key");
    let put = put.body(ByteStream::from_static(b"signed")).customize();
    let put = put.mutate_request(|request| {
        let other = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        request.headers_mut().insert("x-amz-content-sha256", other);
    });
    assert_eq!(code(put.send().await), "XAmzContentSHA256Mismatch");
    assert_eq!(server.files(), 0);
}

#[tokio::test]
async fn a_checksum_is_given_only_when_asked_and_not_with_a_range() {
    let server = Server::start().await;
    server.put("key", "123456789").await;
    let client = plain(&server);
    let get = || client.get_object().bucket(BUCKET).key("key");
    assert_eq!(get().send().await.unwrap().checksum_crc32(), None);
    let asked = get().checksum_mode(ChecksumMode::Enabled);
    assert_eq!(
        asked.clone().send().await.unwrap().checksum_crc32(),
        Some("y/Q5Jg==")
    );
    assert_eq!(
        asked
            .range("bytes=0-1")
            .send()
            .await
            .unwrap()
            .checksum_crc32(),
        None
    );
}
