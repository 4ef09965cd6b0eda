//! What the SDK's errors mean.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3;
use crate::storage::{Action, StorageError, StorageUri};

impl S3 {
    /// The error of a request that failed for good. The SDK's own error is not kept: it holds the
    /// server's answer, which may repeat a signed request.
    pub(super) fn failed<E>(
        &self,
        action: Action,
        uri: &StorageUri,
        error: SdkError<E>,
    ) -> StorageError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let uri = uri.clone();
        let endpoint = self.endpoint.clone();
        match &error {
            SdkError::TimeoutError(_) => StorageError::Timeout {
                action,
                uri,
                endpoint,
            },
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let (code, message) = (error.code(), error.message());
                self.refused(action, uri, status, code, message)
            }
            SdkError::ResponseError(unclear) => {
                let status = unclear.raw().status().as_u16();
                self.refused(action, uri, status, None, None)
            }
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
                StorageError::Unreachable {
                    action,
                    uri,
                    endpoint,
                    source: cause(error),
                }
            }
            _ => {
                let source = cause(error);
                if source.to_string().contains("credential") {
                    StorageError::NoCredentials {
                        action,
                        uri,
                        source,
                    }
                } else {
                    StorageError::Settings {
                        action,
                        uri,
                        endpoint,
                        source,
                    }
                }
            }
        }
    }

    fn refused(
        &self,
        action: Action,
        uri: StorageUri,
        status: u16,
        code: Option<&str>,
        message: Option<&str>,
    ) -> StorageError {
        let endpoint = self.endpoint.clone();
        // An answer to HEAD has no body, so no code.
        let named = code.map_or_else(|| status.to_string().into(), Box::from);
        match (code.unwrap_or_default(), status) {
            ("NoSuchBucket", _) => StorageError::NoSuchBucket { action, uri },
            ("NoSuchKey" | "NotFound", _) | ("", 404) => StorageError::NoSuchObject { action, uri },
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "InvalidClientTokenId",
                _,
            ) => StorageError::Credentials {
                action,
                uri,
                endpoint,
                code: named,
            },
            ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) | ("", 301) => {
                StorageError::Region {
                    action,
                    uri,
                    code: named,
                }
            }
            ("AccessDenied" | "AllAccessDisabled", _) | ("", 403) => StorageError::AccessDenied {
                action,
                uri,
                code: named,
            },
            ("PreconditionFailed", _) | ("", 412) => StorageError::Broken {
                action,
                uri,
                problem: "the object was replaced meanwhile".to_owned(),
            },
            ("BadDigest", _) => StorageError::Broken {
                action,
                uri,
                problem: "its checksum does not match".to_owned(),
            },
            ("RequestTimeout", _) => StorageError::Timeout {
                action,
                uri,
                endpoint,
            },
            _ => StorageError::Server {
                action,
                uri,
                endpoint,
                status,
                code: code.unwrap_or_default().into(),
                message: message.unwrap_or("without an explanation").into(),
            },
        }
    }
}

fn cause<E>(error: SdkError<E>) -> Box<dyn std::error::Error + Send + Sync>
where
    E: std::error::Error + Send + Sync + 'static,
{
    error
        .into_source()
        .unwrap_or_else(|error| error.to_string().into())
}
