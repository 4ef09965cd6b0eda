//! Conversions between the protocol's types and the store's.

use std::ops::Range;

use percent_encoding::utf8_percent_encode;
use s3s::dto::{ChecksumAlgorithm, CommonPrefix, EncodingType};
use s3s::{S3Result, s3_error};

use super::checksum::Algorithm;
use super::presign::PATH;
use super::receive::ReceivedBody;
use super::store::{Headers, Object};
use super::time::now;
use crate::hex::hex;

/// The longest page, even if more entries are requested.
const MAXIMUM_PAGE: usize = 1000;

/// The content type that S3 gives an object without one.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The headers of an object from the request that creates it.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::s3::store::Headers {
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $crate::s3::protocol::stored_encoding(
                $input.content_encoding.as_deref(),
            ),
            content_language: $input.content_language,
            content_type: $input
                .content_type
                .or_else(|| Some($crate::s3::protocol::DEFAULT_CONTENT_TYPE.to_owned())),
            expires: $input.expires,
            metadata: $input.metadata,
        }
    };
}
pub(super) use headers_of;

/// Adds the checksum of an object to an output.
macro_rules! give_checksum {
    ($output:expr, $object:expr) => {
        if let Some(checksum) = $object.checksum {
            $output.checksum_type = Some(checksum.checksum_type());
            $crate::s3::checksum::set_checksum!($output, checksum.algorithm, checksum.value);
        }
    };
}
pub(super) use give_checksum;

/// What a request lists: at most `$limit` entries, after the key or common prefix `$after`.
macro_rules! query_of {
    ($input:expr, $after:expr, $limit:expr) => {
        $crate::s3::listing::ListQuery {
            prefix: $input.prefix.as_deref().unwrap_or_default(),
            delimiter: $input
                .delimiter
                .as_deref()
                .filter(|delimiter| !delimiter.is_empty()),
            after: $after.unwrap_or_default(),
            limit: $limit,
        }
    };
}
pub(super) use query_of;

/// An object of one segment that was just received.
pub(super) fn new_object(received: ReceivedBody, headers: Headers) -> Object {
    Object {
        etag: hex(&received.md5),
        size: received.segment.size,
        modified: now(),
        headers,
        checksum: received.checksum,
        segments: vec![received.segment],
    }
}

/// The encoding to store: `aws-chunked` concerns only the transfer.
pub(super) fn stored_encoding(encoding: Option<&str>) -> Option<String> {
    let kept: Vec<&str> = encoding?
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && *coding != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The algorithm with this name.
pub(super) fn algorithm(name: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    name.map(|name| {
        Algorithm::from_name(name.as_str()).ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "{} is not one of CRC32, CRC32C, CRC64NVME, SHA1 and SHA256",
                name.as_str()
            )
        })
    })
    .transpose()
}

/// The bytes of a range in an object of `size` bytes.
pub(super) fn satisfiable(range: s3s::dto::Range, size: u64) -> S3Result<Range<u64>> {
    let range = range.check(size)?;
    if range.is_empty() {
        return Err(s3_error!(InvalidRange));
    }
    Ok(range)
}

/// The length of a page when `asked` entries are requested.
pub(super) fn limit(asked: Option<i32>) -> S3Result<usize> {
    let Some(asked) = asked else {
        return Ok(MAXIMUM_PAGE);
    };
    let asked = usize::try_from(asked)
        .map_err(|error| s3_error!(error, InvalidArgument, "a page cannot have {asked} entries"))?;
    Ok(asked.min(MAXIMUM_PAGE))
}

/// `text` in the encoding of a listing: XML cannot represent every character of a key.
pub(super) fn encoded(text: String, encoding: Option<&EncodingType>) -> String {
    if encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) {
        utf8_percent_encode(&text, PATH).to_string()
    } else {
        text
    }
}

/// Like [`encoded`], for text that a request may leave out.
pub(super) fn encoded_if_any(
    text: Option<String>,
    encoding: Option<&EncodingType>,
) -> Option<String> {
    text.map(|text| encoded(text, encoding))
}

/// The common prefixes of a page of a listing.
pub(super) fn common_prefixes(
    prefixes: Vec<String>,
    encoding: Option<&EncodingType>,
) -> Option<Vec<CommonPrefix>> {
    let prefixes = prefixes.into_iter().map(|prefix| CommonPrefix {
        prefix: Some(encoded(prefix, encoding)),
    });
    Some(prefixes.collect())
}
