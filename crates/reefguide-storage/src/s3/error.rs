//! Turns the SDK's errors into the storage's.

use std::error::Error;
use std::iter;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3;
use super::tries::Tries;
use crate::{Action, StorageError, StorageUri};
use reefguide_transport::Chain;
use reefguide_transport::http_client::NoCertificates;
use reefguide_transport::http_client::Proxy;
use reefguide_transport::s3_answer::ForeignAnswer;

impl S3 {
    /// The error of a request that has failed finally. The SDK's own error is not kept, since it contains the
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
        if let Some(answer) = find::<ForeignAnswer>(&error) {
            let endpoint = match Proxy::of(&self.url()) {
                Some(proxy) => format!("{endpoint}, through {proxy},").into(),
                None => endpoint,
            };
            return StorageError::Foreign {
                action,
                uri,
                endpoint,
                answer: answer.to_string().into(),
                tried: tries.summary(None),
            };
        }
        if let Some(proxy) = Proxy::failed(&self.url(), &error) {
            return StorageError::Proxy {
                action,
                uri,
                route: format!("{endpoint} through {proxy}").into(),
                tried: tries.summary(None),
                source: cause(error),
            };
        }
        match &error {
            SdkError::TimeoutError(_) => StorageError::Timeout {
                action,
                uri,
                endpoint,
                tried: tries.summary(None),
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
                tried: Some(tries.summary(None)),
            },
            // To the SDK, a server that hangs up without an answer is a failure of another kind.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
            {
                StorageError::Unreachable {
                    action,
                    uri,
                    endpoint,
                    tried: tries.summary(None),
                    source: cause(error),
                }
            }
            _ => {
                let source = cause(error);
                // The SDK's type for it is in a crate that is not used here.
                if Chain(&*source).to_string().contains("credential") {
                    StorageError::NoCredentials {
                        action,
                        uri,
                        tried: tries.summary(None),
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
        // A message that repeats the request would reveal its signature.
        let message = message.filter(|said| !said.to_ascii_lowercase().contains("signature"));
        // The answer to a HEAD request has no body, so no code.
        let tried = match code {
            Some(code) => tries.summary(Some(code)),
            None => tries.summary(Some(&status.to_string())),
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
                problem: "the object was replaced during the transfer".to_owned(),
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
                tried: tries.summary(code),
                message: message.unwrap_or_default().into(),
            },
        }
    }
}

/// The first error of this type among `error` and its sources.
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
    use crate::s3::tries::CountTries;

    #[tokio::test]
    async fn a_search_for_credentials_that_finds_none_is_an_error_of_its_own() {
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
            .interceptor(CountTries);
        let s3 = S3 {
            client: Arc::new(Client::from_conf(config.build()).into()),
            ..S3::new(S3Options::default())
        };
        let error = s3.probe(&"s3://reef".parse().unwrap()).await.unwrap_err();
        assert!(
            matches!(&error, StorageError::NoCredentials { tried, .. } if tried.tries == 1),
            "{error:?}"
        );
    }
}
