//! What the SDK's errors mean.

use std::error::Error;
use std::iter;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3;
use super::tries::Tries;
use crate::{Action, StorageError, StorageUri};
use reefguide_transport::Chain;
use reefguide_transport::http_client::NoCertificates;
use reefguide_transport::http_client::Proxy;
use reefguide_transport::s3_answer::Foreign;

impl S3 {
    /// The error of a request that failed for good. The SDK's own error is not kept: it holds the
    /// server's answer, which may repeat a signed request.
    pub(super) fn failed<E>(
        &self,
        action: Action,
        uri: &StorageUri,
        tries: &Tries,
        error: SdkError<E>,
    ) -> StorageError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let uri = uri.clone();
        let endpoint = self.endpoint.clone();
        if let Some(missing) = find::<NoCertificates>(&error) {
            return StorageError::Certificates {
                action,
                uri,
                source: missing.clone(),
            };
        }
        if let Some(answer) = find::<Foreign>(&error) {
            let endpoint = match Proxy::of(&self.url()) {
                Some(proxy) => format!("{endpoint}, through {proxy},").into(),
                None => endpoint,
            };
            return StorageError::Foreign {
                action,
                uri,
                endpoint,
                answer: answer.to_string().into(),
                tried: tries.tried(None),
            };
        }
        if let Some(proxy) = Proxy::failed(&self.url(), &error) {
            return StorageError::Proxy {
                action,
                uri,
                route: format!("{endpoint} through {proxy}").into(),
                tried: tries.tried(None),
                source: cause(error),
            };
        }
        match &error {
            SdkError::TimeoutError(_) => StorageError::Timeout {
                action,
                uri,
                endpoint,
                tried: tries.tried(None),
            },
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let (code, message) = (error.code(), error.message());
                self.refused(action, uri, tries, status, code, message)
            }
            SdkError::ResponseError(_) => StorageError::Broken {
                action,
                uri,
                problem: format!("the answer broke off: {}", Chain(&*cause(error))),
                tried: Some(tries.tried(None)),
            },
            // A server that hangs up without an answer is another kind of failure to the SDK, but a known one.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
            {
                StorageError::Unreachable {
                    action,
                    uri,
                    endpoint,
                    tried: tries.tried(None),
                    source: cause(error),
                }
            }
            _ => {
                let source = cause(error);
                // The SDK's type for it belongs to none of the crates we use.
                if Chain(&*source).to_string().contains("credential") {
                    StorageError::NoCredentials {
                        action,
                        uri,
                        tried: tries.tried(None),
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
        tries: &Tries,
        status: u16,
        code: Option<&str>,
        message: Option<&str>,
    ) -> StorageError {
        let endpoint = self.endpoint.clone();
        // What repeats the request would tell its signature.
        let message = message.filter(|said| !said.to_ascii_lowercase().contains("signature"));
        // An answer to HEAD has no body, so no code.
        let tried = match code {
            Some(code) => tries.tried(Some(code)),
            None => tries.tried(Some(&status.to_string())),
        };
        match (code.unwrap_or_default(), status) {
            ("NoSuchBucket", _) => StorageError::NoSuchBucket { action, uri, tried },
            ("NoSuchKey" | "NotFound", _) | ("", 404) => StorageError::NoSuchObject {
                action,
                uri,
                tried: Some(tried),
            },
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "InvalidClientTokenId"
                | "NotSignedUp",
                _,
            ) => StorageError::Credentials {
                action,
                uri,
                endpoint,
                tried,
            },
            ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) | ("", 301) => {
                StorageError::Region { action, uri, tried }
            }
            ("AccessDenied" | "AllAccessDisabled", _) | ("", 403) => {
                StorageError::AccessDenied { action, uri, tried }
            }
            ("PreconditionFailed", _) | ("", 412) => StorageError::Broken {
                action,
                uri,
                problem: "the object was replaced meanwhile".to_owned(),
                tried: Some(tried),
            },
            ("BadDigest" | "XAmzContentSHA256Mismatch", _) => StorageError::Broken {
                action,
                uri,
                problem: "the checksum does not match".to_owned(),
                tried: Some(tried),
            },
            ("RequestTimeout", _) => StorageError::Timeout {
                action,
                uri,
                endpoint,
                tried,
            },
            _ => StorageError::Server {
                action,
                uri,
                endpoint,
                status,
                tried: tries.tried(code),
                message: message.unwrap_or_default().into(),
            },
        }
    }
}

/// The first error of this type among `error` and what it came from.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    iter::successors(Some(error), |&error| error.source()).find_map(<dyn Error>::downcast_ref)
}

fn cause<E>(error: SdkError<E>) -> Box<dyn Error + Send + Sync>
where
    E: Error + Send + Sync + 'static,
{
    error
        .into_source()
        .unwrap_or_else(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_config::web_identity_token::{
        StaticConfiguration, WebIdentityTokenCredentialsProvider,
    };
    use aws_sdk_s3::Client;
    use aws_sdk_s3::config::{BehaviorVersion, Builder, Region};

    use super::*;
    use crate::S3Options;
    use crate::backend::Backend;
    use crate::s3::tries::CountAttempts;

    #[tokio::test]
    async fn a_search_for_credentials_that_finds_none_says_where_to_put_them() {
        let search = WebIdentityTokenCredentialsProvider::builder()
            .static_configuration(StaticConfiguration {
                web_identity_token_file: "/nowhere/token".into(),
                role_arn: "arn:aws:iam::123456789012:role/worker".into(),
                session_name: "test".into(),
            })
            .build();
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(search)
            .interceptor(CountAttempts);
        let s3 = S3 {
            client: Arc::new(Client::from_conf(config.build()).into()),
            ..S3::new(S3Options::default())
        };
        let error = s3.probe(&"s3://reef".parse().unwrap()).await.unwrap_err();
        assert!(
            matches!(&error, StorageError::NoCredentials { tried, .. } if tried.attempts == 1),
            "{error:?}"
        );
    }
}
