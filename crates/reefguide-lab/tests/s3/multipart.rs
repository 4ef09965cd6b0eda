use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, Part,
};

use crate::server::{PART, Server, bytes, code};

/// A multipart upload to `key` in progress.
pub(crate) struct Upload<'a> {
    server: &'a Server,
    key: &'a str,
    id: String,
    algorithm: Option<ChecksumAlgorithm>,
}

impl<'a> Upload<'a> {
    pub(crate) async fn create(server: &'a Server, key: &'a str) -> Self {
        Self::from(server, server.create_multipart_upload(key), key).await
    }

    async fn from(
        server: &'a Server,
        create: CreateMultipartUploadFluentBuilder,
        key: &'a str,
    ) -> Self {
        let algorithm = create.get_checksum_algorithm().clone();
        Self {
            server,
            key,
            id: create.send().await.unwrap().upload_id.unwrap(),
            algorithm,
        }
    }

    pub(crate) async fn put(&self, number: i32, body: Vec<u8>) -> CompletedPart {
        let put = self.server.upload_part(self.key).upload_id(&self.id);
        let put = put.part_number(number).body(ByteStream::from(body));
        let put = put.set_checksum_algorithm(self.algorithm.clone());
        let put = put.send().await.unwrap();
        CompletedPart::builder()
            .part_number(number)
            .set_e_tag(put.e_tag)
            .set_checksum_sha256(put.checksum_sha256)
            .build()
    }

    /// Uploads `whole` in parts of the minimum size.
    pub(crate) async fn put_chunks(&self, whole: &[u8]) -> Vec<CompletedPart> {
        let mut parts = Vec::new();
        for (number, chunk) in (1..).zip(whole.chunks(PART)) {
            parts.push(self.put(number, chunk.to_vec()).await);
        }
        parts
    }

    pub(crate) fn complete(
        &self,
        parts: impl Into<Vec<CompletedPart>>,
    ) -> CompleteMultipartUploadFluentBuilder {
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts.into()));
        self.server
            .complete_multipart_upload(self.key)
            .upload_id(&self.id)
            .multipart_upload(upload.build())
    }
}

#[tokio::test]
async fn parts_become_one_object_that_reads_whole_and_in_ranges() {
    let server = Server::start().await;
    let whole = bytes(2 * PART + 10, 3);
    let create = server.create_multipart_upload("key");
    let create = create.content_type("image/tiff").metadata("job", "17");
    let upload = Upload::from(&server, create, "key").await;
    let third = upload.put(3, whole[2 * PART..].to_vec()).await;
    let first = upload.put(1, whole[..PART].to_vec()).await;
    let second = upload.put(2, whole[PART..2 * PART].to_vec()).await;
    let complete = upload
        .complete([first, second, third])
        .send()
        .await
        .unwrap();
    let etag = complete.e_tag().unwrap();
    assert!(etag.ends_with("-3\""), "{etag}");
    assert_eq!(server.files(), 3);

    let get = server.get_object("key").send().await.unwrap();
    assert_eq!(get.e_tag(), Some(etag));
    assert_eq!(get.content_type(), Some("image/tiff"));
    assert_eq!(get.metadata().unwrap()["job"], "17");
    assert!(get.body.collect().await.unwrap().to_vec() == whole);
    for (start, end) in [
        (PART - 2, PART + 1),
        (PART, 2 * PART - 1),
        (10, 2 * PART + 5),
    ] {
        let get = server.get_object("key");
        let get = get
            .range(format!("bytes={start}-{end}"))
            .send()
            .await
            .unwrap();
        assert!(get.body.collect().await.unwrap().to_vec() == whole[start..=end]);
    }
    let page = server.list_objects_v2().send().await.unwrap();
    assert_eq!(page.contents()[0].size(), Some(whole.len() as i64));
    assert_eq!(page.contents()[0].e_tag(), Some(etag));

    server.delete_object("key").send().await.unwrap();
    assert_eq!(server.files(), 0);
}

#[tokio::test]
async fn the_entity_tag_is_the_md5_of_the_md5s() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "key").await;
    let part = upload.put(1, b"123456789".to_vec()).await;
    let complete = upload.complete([part]).send().await.unwrap();
    assert_eq!(
        complete.e_tag(),
        Some("\"5927c5d64d94a5786f90003aa26d0159-1\"")
    );
}

#[tokio::test]
async fn a_part_that_is_sent_again_replaces_the_first() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "key").await;
    let old = upload.put(1, b"old".to_vec()).await;
    let new = upload.put(1, b"new".to_vec()).await;
    assert_eq!(server.files(), 1);
    assert_eq!(code(upload.complete([old]).send().await), "InvalidPart");
    upload.complete([new]).send().await.unwrap();
    assert_eq!(server.get("key").await, b"new");
}

#[tokio::test]
async fn a_completion_that_does_not_match_the_parts_is_refused_and_the_upload_stays() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "key").await;
    let first = upload.put(1, bytes(PART, 4)).await;
    let small = upload.put(2, b"small".to_vec()).await;
    let last = upload.put(3, b"last".to_vec()).await;
    let missing = CompletedPart::builder()
        .part_number(4)
        .e_tag("\"x\"")
        .build();
    let parts = [first.clone(), small.clone(), last.clone()];
    assert_eq!(code(upload.complete(parts).send().await), "EntityTooSmall");
    let parts = [last.clone(), first.clone()];
    assert_eq!(
        code(upload.complete(parts).send().await),
        "InvalidPartOrder"
    );
    let parts = [first.clone(), first.clone()];
    assert_eq!(
        code(upload.complete(parts).send().await),
        "InvalidPartOrder"
    );
    assert_eq!(
        code(upload.complete([first.clone(), missing]).send().await),
        "InvalidPart"
    );
    assert_eq!(code(upload.complete([]).send().await), "MalformedXML");
    let wrong_size = upload.complete([first.clone()]).mpu_object_size(7);
    assert_eq!(code(wrong_size.send().await), "InvalidRequest");
    let get = server.get_object("key").send().await;
    assert_eq!(code(get), "NoSuchKey");

    // A part that is not listed is removed.
    upload.complete([first, last]).send().await.unwrap();
    assert_eq!(server.files(), 2);
    assert_eq!(server.get("key").await.len(), PART + 4);
}

#[tokio::test]
async fn a_completed_or_aborted_upload_is_not_found() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "key").await;
    let part = upload.put(1, b"x".to_vec()).await;
    upload.complete([part.clone()]).send().await.unwrap();
    assert_eq!(code(upload.complete([part]).send().await), "NoSuchUpload");

    let upload = Upload::create(&server, "other").await;
    upload.put(1, b"x".to_vec()).await;
    assert_eq!(server.files(), 2);
    let abort = |key| {
        let abort = server.abort_multipart_upload(key);
        abort.upload_id(&upload.id).send()
    };
    assert_eq!(code(abort("key").await), "NoSuchUpload");
    abort("other").await.unwrap();
    assert_eq!(code(abort("other").await), "NoSuchUpload");
    assert_eq!(server.files(), 1);
    let put = server.upload_part("other");
    let put = put
        .upload_id(&upload.id)
        .part_number(1)
        .body(bytes(PART, 11).into());
    assert_eq!(code(put.send().await), "NoSuchUpload");
    assert_eq!(server.files(), 1);
}

#[tokio::test]
async fn a_part_number_out_of_range_is_refused() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "key").await;
    for number in [0, 10_001] {
        let put = server.upload_part("key");
        let put = put.upload_id(&upload.id).part_number(number);
        assert_eq!(code(put.send().await), "InvalidArgument");
    }
}

#[tokio::test]
async fn a_completion_obeys_if_none_match() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "key").await;
    let part = upload.put(1, b"late".to_vec()).await;
    server.put("key", "early").await;
    let complete = upload.complete([part]).if_none_match("*");
    assert_eq!(code(complete.send().await), "PreconditionFailed");
    assert_eq!(server.get("key").await, b"early");
}

#[tokio::test]
async fn the_checksums_of_parts_become_a_composite_checksum() {
    let server = Server::start().await;
    let whole = bytes(PART + 10, 5);
    let create = server.create_multipart_upload("key");
    let create = create.checksum_algorithm(ChecksumAlgorithm::Sha256);
    let created = create.clone().send().await.unwrap();
    assert_eq!(created.checksum_type(), Some(&ChecksumType::Composite));
    let upload = Upload::from(&server, create, "key").await;
    let mut parts = upload.put_chunks(&whole).await;
    let [first, second] = [0, 1].map(|at: usize| parts[at].checksum_sha256.clone());
    parts[0].checksum_sha256 = second;
    let wrong = upload.complete(parts.clone()).send().await;
    assert_eq!(code(wrong), "InvalidPart");
    parts[0].checksum_sha256 = first;
    let complete = upload.complete(parts).send().await.unwrap();
    let composite = complete.checksum_sha256().unwrap();
    assert!(composite.ends_with("-2"), "{composite}");
    assert!(server.get("key").await == whole);
}

#[tokio::test]
async fn a_full_object_checksum_is_the_same_as_with_a_single_put() {
    let server = Server::start().await;
    let whole = bytes(PART + 10, 6);
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
    ] {
        let put = server.put_object("one").body(whole.clone().into());
        put.checksum_algorithm(algorithm.clone())
            .send()
            .await
            .unwrap();
        let create = server.create_multipart_upload("parts");
        let create = create.checksum_algorithm(algorithm.clone());
        let create = create.checksum_type(ChecksumType::FullObject);
        let upload = Upload::from(&server, create, "parts").await;
        let parts = upload.put_chunks(&whole).await;
        if algorithm == ChecksumAlgorithm::Crc32 {
            let wrong = upload.complete(parts.clone()).checksum_crc32("AAAAAA==");
            assert_eq!(code(wrong.send().await), "BadDigest");
            let other = upload.complete(parts.clone()).checksum_sha1("AAAAAA==");
            assert_eq!(code(other.send().await), "InvalidRequest");
        }
        upload.complete(parts).send().await.unwrap();
        let head = |key| {
            let head = server.head_object(key);
            head.checksum_mode(ChecksumMode::Enabled).send()
        };
        let (one, parts) = (head("one").await.unwrap(), head("parts").await.unwrap());
        assert_eq!(parts.checksum_type(), Some(&ChecksumType::FullObject));
        assert_eq!(parts.checksum_crc32(), one.checksum_crc32());
        assert_eq!(parts.checksum_crc32_c(), one.checksum_crc32_c());
        assert_eq!(parts.checksum_crc64_nvme(), one.checksum_crc64_nvme());
        assert!(server.get("parts").await == whole);
    }
}

#[tokio::test]
async fn a_part_can_be_copied_from_an_object() {
    let server = Server::start().await;
    server.put("source", "0123456789").await;
    let upload = Upload::create(&server, "key").await;
    let copy = server.upload_part_copy("key").upload_id(&upload.id);
    let copy = copy
        .part_number(1)
        .copy_source("reef/source")
        .copy_source_range("bytes=2-4");
    let copied = copy.send().await.unwrap().copy_part_result.unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(copied.e_tag)
        .build();
    upload.complete([part]).send().await.unwrap();
    assert_eq!(server.get("key").await, b"234");
}

#[tokio::test]
async fn parts_and_uploads_are_listed_in_pages() {
    let server = Server::start().await;
    let upload = Upload::create(&server, "a/1").await;
    for number in [1, 2, 5] {
        upload.put(number, vec![b'x'; 3]).await;
    }
    let list = || server.list_parts("a/1").upload_id(&upload.id);
    let page = list().max_parts(2).send().await.unwrap();
    let numbers: Vec<_> = page.parts().iter().filter_map(Part::part_number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(page.parts()[0].size(), Some(3));
    assert_eq!(page.is_truncated(), Some(true));
    let marker = page.next_part_number_marker().unwrap();
    let page = list().part_number_marker(marker).send().await.unwrap();
    assert_eq!(page.parts().len(), 1);
    assert_eq!(page.parts()[0].part_number(), Some(5));
    assert_eq!(page.is_truncated(), Some(false));

    Upload::create(&server, "a/1").await;
    Upload::create(&server, "b").await;
    let list = || server.list_multipart_uploads();
    let mut seen = Vec::new();
    let mut page = list().max_uploads(1).send().await.unwrap();
    for _ in 0..10 {
        let uploads = page.uploads().iter();
        seen.extend(uploads.map(|upload| (upload.key.clone(), upload.upload_id.clone())));
        if page.is_truncated() != Some(true) {
            break;
        }
        page = list()
            .max_uploads(1)
            .set_key_marker(page.next_key_marker)
            .set_upload_id_marker(page.next_upload_id_marker)
            .send()
            .await
            .unwrap();
    }
    seen.dedup();
    let keys: Vec<_> = seen.iter().filter_map(|(key, _)| key.as_deref()).collect();
    assert_eq!(keys, ["a/1", "a/1", "b"]);
    let page = list().delimiter("/").send().await.unwrap();
    assert_eq!(page.common_prefixes()[0].prefix(), Some("a/"));
    assert_eq!(page.uploads()[0].key(), Some("b"));
    let page = list().prefix("a").send().await.unwrap();
    assert_eq!(page.uploads().len(), 2);
}
