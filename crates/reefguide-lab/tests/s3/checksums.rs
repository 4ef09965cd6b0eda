use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{
    ConfigBag, Intercept, RequestChecksumCalculation, ResponseChecksumValidation, RuntimeComponents,
};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType};

use crate::s3_client::s3_config;
use crate::server::{BUCKET, Server, bytes, code};

/// Well-known checksums of `123456789`.
const CHECKSUMS: [(&str, &str); 5] = [
    ("crc32", "y/Q5Jg=="),
    ("crc32c", "4waSgw=="),
    ("crc64nvme", "rosUhgp5mIg="),
    ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
];

/// A client that does not add checksums.
fn plain(server: &Server) -> Client {
    let config = s3_config(&server.lab)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Client::from_conf(config.build())
}

#[tokio::test]
async fn the_sdks_default_checksum_arrives_in_a_trailer_and_is_returned() {
    let server = Server::start().await;
    let path = server.folder.path().join("upload");
    let content = bytes(200_000, 2);
    std::fs::write(&path, &content).unwrap();
    let body = ByteStream::from_path(&path).await.unwrap();
    let put = server.put_object("key").body(body);
    let put = put.send().await.unwrap();
    let head = server.head_object("key");
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
        let put = server.put_object(algorithm);
        let put = put.checksum_algorithm(ChecksumAlgorithm::from(algorithm));
        put.body(ByteStream::from_static(b"123456789"))
            .send()
            .await
            .unwrap();
        let head = server.head_object(algorithm);
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
        let put = server.put_object("key").content_md5(md5);
        put.body(ByteStream::from_static(b"123456789")).send()
    };
    put("JfnnlDI7RTiF9RgfG2JNCw==").await.unwrap();
    assert_eq!(code(put("XUFAKrxLKna5cZ2REBfFkg==").await), "BadDigest");
    assert_eq!(code(put("short").await), "InvalidDigest");
    assert_eq!(server.files(), 1);
}

#[tokio::test]
async fn a_body_that_differs_from_the_signed_one_is_refused() {
    let server = Server::start().await;
    let put = plain(&server).put_object().bucket(BUCKET).key("key");
    let put = put.body(ByteStream::from_static(b"signed")).customize();
    let put = put.interceptor(Tamper::Body("forged"));
    assert_eq!(code(put.send().await), "XAmzContentSHA256Mismatch");
    assert_eq!(server.files(), 0);
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_refused() {
    let server = Server::start().await;
    let path = server.folder.path().join("upload");
    std::fs::write(&path, "123456789").unwrap();
    let body = ByteStream::from_path(&path).await.unwrap();
    let put = server.put_object("key").body(body);
    let put = put.customize().interceptor(Tamper::DecodedLength("10"));
    assert_eq!(code(put.send().await), "IncompleteBody");
    assert_eq!(server.files(), 0);
}

/// Tampers with a request.
#[derive(Debug)]
enum Tamper {
    /// Replaces the signed body.
    Body(&'static str),
    /// Signs a length that the body does not have.
    DecodedLength(&'static str),
}

impl Intercept for Tamper {
    fn name(&self) -> &'static str {
        "Tamper"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Self::DecodedLength(length) = self {
            let headers = context.request_mut().headers_mut();
            assert!(
                headers
                    .insert("x-amz-decoded-content-length", *length)
                    .is_some()
            );
        }
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Self::Body(body) = self {
            *context.request_mut().body_mut() = SdkBody::from(*body);
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_checksum_is_returned_only_on_request_and_not_with_a_range() {
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
