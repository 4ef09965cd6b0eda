//! Presigned URLs, which let anyone download one object for a limited time.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::credentials::Credentials;
use crate::hex::hex;

/// The characters that are not escaped in a query value.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The characters that are not escaped in a path, or in a listing with `encoding-type=url`.
pub(super) const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A URL for a GET of `key` in `bucket` at `endpoint` (`http://host:port`), signed with Signature Version 4. It is valid for
/// `expires_seconds`.
pub(crate) fn presign_get(
    endpoint: &str,
    region: &str,
    credentials: &Credentials,
    bucket: &str,
    key: &str,
    expires_seconds: u64,
) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let host = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, host)| host);
    let now = Timestamp::now();
    let date = now.strftime("%Y%m%d").to_string();
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{date}/{region}/s3/aws4_request");
    let path = format!("/{bucket}/{}", utf8_percent_encode(key, PATH));
    let credential = format!("{}/{scope}", credentials.access_key);
    // The names must ascend, or the signature is wrong.
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}\
         &X-Amz-Expires={expires_seconds}&X-Amz-SignedHeaders=host",
        utf8_percent_encode(&credential, QUERY)
    );
    let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(request))
    );
    let secret = format!("AWS4{}", credentials.secret_key);
    let signing_key = [date.as_str(), region, "s3", "aws4_request"]
        .into_iter()
        .fold(secret.into_bytes(), |key, part| sign(&key, part));
    let signature = hex(&sign(&signing_key, &to_sign));
    format!("{endpoint}{path}?{query}&X-Amz-Signature={signature}")
}

fn sign(key: &[u8], message: &str) -> Vec<u8> {
    // HMAC accepts keys of any length, so the error cannot occur.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
