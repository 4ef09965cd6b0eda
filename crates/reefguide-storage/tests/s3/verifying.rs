//! Downloads are compared with the server's description of the object.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm::{Crc32IsoHdlc, Crc64Nvme};
use crc_fast::checksum;
use md5::{Digest, Md5};
use reefguide_storage::{ObjectInfo, StorageError};
use tokio::io::AsyncReadExt;

use crate::server::{Asked, Server, error, uri};

/// Sizes that are written at once, read in one request, and read in ranges.
const SIZES: [usize; 3] = [1000, 1 << 20, 17 << 20];
const MIB: usize = 1 << 20;

fn content(size: usize) -> Bytes {
    (0..size).map(|at| (at / 7) as u8).collect()
}

/// A server's description of an object.
#[derive(Clone)]
struct Object {
    content: Bytes,
    /// The headers of an answer with the whole object.
    headers: Vec<(&'static str, String)>,
    /// The sizes of its parts that the server reports.
    parts: Vec<usize>,
}

impl Object {
    fn answer(&self, asked: &Asked) -> Response {
        if asked.head.method == "HEAD" {
            let line = asked.line();
            let number: usize = line.split_once("partNumber=").unwrap().1.parse().unwrap();
            return match self.parts.get(number - 1) {
                Some(size) => Response::builder()
                    .header("etag", "\"v-3\"")
                    .header("content-length", *size)
                    .body(Body::empty())
                    .unwrap(),
                None => error(400, "InvalidPartNumber"),
            };
        }
        let size = self.content.len();
        let Some(range) = asked.header("range") else {
            let mut answer = Response::builder();
            if self.headers.iter().all(|(name, _)| *name != "etag") {
                answer = answer.header("etag", "\"v-3\"");
            }
            for (name, value) in &self.headers {
                answer = answer.header(*name, value);
            }
            return answer.body(self.content.clone().into()).unwrap();
        };
        let (from, to) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        Response::builder()
            .status(206)
            .header("etag", "\"v-3\"")
            .header("content-range", format!("bytes {from}-{to}/{size}"))
            .body(self.content.slice(from..=to).into())
            .unwrap()
    }

    /// Downloads it. If there is a file afterwards, it has the content. Reading it as it arrives has the same result.
    async fn download(self) -> Result<ObjectInfo, StorageError> {
        let object = Arc::new(self);
        let answers = Arc::clone(&object);
        let server = Server::answering(move |asked| {
            let object = Arc::clone(&answers);
            async move { object.answer(&asked) }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let from = uri("s3://reef/a");
        let downloaded = server.storage.download_file(&from, &file).await;
        match &downloaded {
            Ok(_) => assert!(std::fs::read(&file).unwrap() == object.content),
            Err(_) => assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0),
        }
        let mut read = Vec::new();
        let mut reader = server.storage.open(&from).await.unwrap();
        match reader.read_to_end(&mut read).await {
            Ok(_) => assert!(downloaded.is_ok() && read == object.content),
            Err(error) => {
                assert!(downloaded.is_err(), "{error}");
                assert!(error.to_string().contains("checksum"), "{error}");
            }
        }
        downloaded
    }
}

/// The object arrives if the description is right, and fails if it is not.
async fn agrees(content: Bytes, name: &'static str, right: String, wrong: String) {
    for (value, lands) in [(right, true), (wrong, false)] {
        let object = Object {
            content: content.clone(),
            headers: vec![(name, value)],
            parts: Vec::new(),
        };
        let downloaded = object.download().await;
        match downloaded {
            Ok(_) => assert!(lands, "{name}: wrong content landed"),
            Err(error) => {
                assert!(!lands, "{name}: {error}");
                assert!(error.to_string().contains("checksum"), "{error}");
                assert!(error.is_retryable());
            }
        }
    }
}

#[tokio::test]
async fn an_etag_that_is_an_md5_verifies_the_content() {
    for size in SIZES {
        let of = |content: &[u8]| {
            let digest = Md5::digest(content);
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\"{digits}\"")
        };
        let content = content(size);
        agrees(content.clone(), "etag", of(&content), of(b"other")).await;
    }
}

#[tokio::test]
async fn checksums_of_the_whole_content_verify_it() {
    for size in SIZES {
        let content = content(size);
        let crc32 = |content: &[u8]| {
            STANDARD.encode((checksum(Crc32IsoHdlc, content) as u32).to_be_bytes())
        };
        let crc64 = |content: &[u8]| STANDARD.encode(checksum(Crc64Nvme, content).to_be_bytes());
        let name = "x-amz-checksum-crc32";
        agrees(content.clone(), name, crc32(&content), crc32(b"other")).await;
        let name = "x-amz-checksum-crc64nvme";
        agrees(content.clone(), name, crc64(&content), crc64(b"other")).await;
    }
}

#[tokio::test]
async fn an_etag_that_is_not_an_md5_of_the_content_is_ignored() {
    for (etag, encryption) in [
        ("\"abc-3\"", None),
        ("\"0cc175b9c0f1b6a831c399e269772661\"", Some("aws:kms")),
    ] {
        let mut headers = vec![("etag", etag.to_owned())];
        headers.extend(encryption.map(|by| ("x-amz-server-side-encryption", by.to_owned())));
        let object = Object {
            content: content(1000),
            headers,
            parts: Vec::new(),
        };
        object.download().await.unwrap();
    }
}

/// An object of these parts with the checksum of their checksums. The server reports the sizes of the first ones.
fn in_parts(parts: &[usize], reported: usize) -> Object {
    let content = content(parts.iter().sum());
    let mut rest = &content[..];
    let mut sums = Vec::new();
    for size in parts {
        let (part, after) = rest.split_at(*size);
        sums.extend((checksum(Crc32IsoHdlc, part) as u32).to_be_bytes());
        rest = after;
    }
    let sum = (checksum(Crc32IsoHdlc, &sums) as u32).to_be_bytes();
    let sum = format!("{}-{}", STANDARD.encode(sum), parts.len());
    Object {
        content,
        headers: vec![
            ("etag", "\"v-3\"".to_owned()),
            ("x-amz-checksum-crc32", sum),
            ("x-amz-checksum-type", "COMPOSITE".to_owned()),
        ],
        parts: parts[..reported].to_vec(),
    }
}

#[tokio::test]
async fn a_checksum_of_parts_verifies_the_content() {
    let mut object = in_parts(&[6 * MIB, 6 * MIB, 5 * MIB], 3);
    object.clone().download().await.unwrap();
    let mut changed = object.content.to_vec();
    changed[11 * MIB] ^= 1;
    object.content = changed.into();
    let error = object.download().await.unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn a_checksum_of_parts_is_ignored_if_their_sizes_differ_or_are_unknown() {
    in_parts(&[8 * MIB, 6 * MIB, 3 * MIB], 3)
        .download()
        .await
        .unwrap();
    in_parts(&[6 * MIB, 6 * MIB, 5 * MIB], 0)
        .download()
        .await
        .unwrap();
    // Without an explanation, a mismatch is an error.
    let unknown = in_parts(&[8 * MIB, 6 * MIB, 3 * MIB], 1);
    let error = unknown.download().await.unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}
