//! The headers about an object's content, from the SDK's answer.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::{ChecksumType, ServerSideEncryption};
use reefguide_transport::checksum::{ContentHeaders, Expected};

/// What to compare the content of `answer` with.
pub(super) fn expected(answer: &GetObjectOutput) -> Expected {
    Expected::of(&ContentHeaders {
        etag: answer.e_tag(),
        crc64_nvme: answer.checksum_crc64_nvme(),
        crc32: answer.checksum_crc32(),
        crc32_c: answer.checksum_crc32_c(),
        checksum_type: answer.checksum_type().map(ChecksumType::as_str),
        encryption: answer
            .server_side_encryption()
            .map(ServerSideEncryption::as_str),
        customer_algorithm: answer.sse_customer_algorithm(),
    })
}
