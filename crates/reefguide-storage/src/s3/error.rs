//! Turns the SDK's errors into the storage's.

use std::error::Error;
use std::iter;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3;
use super::tries::Tries;
use crate::{Action, FailedRequest, StorageError, StorageUri};
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
        let mut request = Box::new(FailedRequest {
            action,
            uri: uri.clone(),
            server: self.endpoint.clone(),
            tries: tries.summary(),
        });
        if let Some(missing) = find::<NoCertificates>(&error) {
            let source = missing.clone();
            return StorageError::Certificates { request, source };
        }
        if let Some(answer) = find::<ForeignAnswer>(&error) {
            if let Some(proxy) = Proxy::of(&self.url()) {
                request.server = format!("{}, through {proxy},", self.endpoint).into();
            }
            let answer = answer.to_string().into();
            return StorageError::Foreign { request, answer };
        }
        if let Some(proxy) = Proxy::failed(&self.url(), &error) {
            return StorageError::Proxy {
                request,
                proxy: proxy.to_string().into(),
                source: cause(error),
            };
        }
        match &error {
            SdkError::TimeoutError(_) => StorageError::Timeout(request),
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                refusal(request, status, error.code(), error.message())
            }
            SdkError::ResponseError(_) => broken(
                *request,
                format!("the answer broke off: {}", Chain(&*cause(error))),
            ),
            // To the SDK, a server that hangs up without an answer is a failure of another kind.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
            {
                let source = cause(error);
                StorageError::Unreachable { request, source }
            }
            _ => {
                let source = cause(error);
                // The SDK's type for it is in a crate that is not used here.
                match Chain(&*source).to_string().contains("credential") {
                    true => StorageError::NoCredentials { request, source },
                    false => StorageError::Settings { request, source },
                }
            }
        }
    }
}

/// The error of a request that the server has refused.
fn refusal(
    mut request: Box<FailedRequest>,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
) -> StorageError {
    // A message that repeats the request would reveal its signature.
    let message = message.filter(|said| !said.to_ascii_lowercase().contains("signature"));
    // The answer to a HEAD request has no body, so no code.
    request.tries.code = Some(code.map_or_else(|| status.to_string().into(), Into::into));
    match (code.unwrap_or_default(), status) {
        ("NoSuchBucket", _) => StorageError::NoSuchBucket(request),
        ("NoSuchKey" | "NotFound", _) | ("", 404) => StorageError::NoSuchObject {
            action: request.action,
            uri: request.uri,
            tried: Some(request.tries.into()),
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
        ) => StorageError::Credentials(request),
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) | ("", 301) => {
            StorageError::Region(request)
        }
        ("AccessDenied" | "AllAccessDisabled", _) | ("", 403) => {
            StorageError::AccessDenied(request)
        }
        ("PreconditionFailed", _) | ("", 412) => broken(
            *request,
            "the object was replaced during the transfer".to_owned(),
        ),
        ("BadDigest" | "XAmzContentSHA256Mismatch", _) => {
            broken(*request, "the checksum does not match".to_owned())
        }
        ("RequestTimeout", _) => StorageError::Timeout(request),
        _ => {
            // This error shows the status itself.
            request.tries.code = code.map(Into::into);
            let message = message.unwrap_or_default().into();
            StorageError::Server {
                request,
                status,
                message,
            }
        }
    }
}

fn broken(request: FailedRequest, problem: String) -> StorageError {
    StorageError::Broken {
        action: request.action,
        uri: request.uri,
        problem,
        tried: Some(request.tries.into()),
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
            matches!(&error, StorageError::NoCredentials { request, .. } if request.tries.tries == 1),
            "{error:?}"
        );
    }
}
