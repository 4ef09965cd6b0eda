//! Signing URLs.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};

use super::{S3, class};
use crate::presigned::check;
use crate::{Action, PresignedUrl, StorageClass, StorageError, StorageUri};

/// A URL to read or to store an object. Only fetching credentials may send requests.
pub(super) async fn presign(
    s3: &S3,
    action: Action,
    uri: &StorageUri,
    expires: Duration,
    stored_as: Option<StorageClass>,
) -> Result<PresignedUrl, StorageError> {
    let unsupported = |problem| StorageError::Unsupported {
        action,
        uri: uri.clone(),
        problem,
    };
    check(expires).map_err(unsupported)?;
    if uri.key().split('/').any(|part| matches!(part, "." | "..")) {
        return Err(unsupported(
            "its key has a part `.` or `..`, which clients remove from URLs: choose another key",
        ));
    }
    let now = SystemTime::now();
    let validity = PresigningConfig::builder()
        .start_time(now)
        .expires_in(expires)
        .build()
        .map_err(|_| unsupported("the URL cannot be signed for that long"))?;
    let (bucket, key) = (uri.bucket(), uri.key());
    let signed = match action {
        Action::Store => {
            let put = s3.client().await.put_object().bucket(bucket).key(key);
            let put = put
                .set_server_side_encryption(s3.encryption())
                .set_ssekms_key_id(s3.kms_key())
                .set_storage_class(class(stored_as));
            s3.ask(action, uri, put.presigned(validity)).await?
        }
        _ => {
            let get = s3.client().await.get_object().bucket(bucket).key(key);
            s3.ask(action, uri, get.presigned(validity)).await?
        }
    };
    Ok(presigned(&signed, now + expires))
}

fn presigned(signed: &PresignedRequest, expires_at: SystemTime) -> PresignedUrl {
    let headers = signed.headers();
    PresignedUrl {
        url: signed.uri().into(),
        method: signed.method().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        expires_at,
    }
}
