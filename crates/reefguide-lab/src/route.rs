//! The routes of a lab: the log names them, and faults are set on them.

use std::fmt;
use std::str::FromStr;

use http::Method;
use serde::{Deserialize, Serialize};

/// One of the lab's two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The job API.
    Api,
    /// The S3 server.
    S3,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Api => "api",
            Self::S3 => "s3",
        })
    }
}

macro_rules! routes {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// A route of the lab, or a group of them. Its name is what `Display` writes and `FromStr` reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum Route {
            $(#[doc = concat!("`", $name, "`: ", $doc)] $variant,)*
        }

        impl Route {
            /// Every route and group.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The route's name, such as `s3-put`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

routes! {
    Login "login" "`POST /auth/login`",
    Token "token" "`POST /auth/token`",
    Profile "profile" "`GET /auth/profile`",
    Create "create" "`POST /jobs`",
    Poll "poll" "`GET /jobs/poll`",
    Assign "assign" "`POST /jobs/assign`",
    Job "job" "`GET /jobs/{id}`, the read-back",
    List "list" "`GET /jobs` and `GET /jobs/mine`",
    Result "result" "`POST /jobs/assignments/{id}/result`",
    Cancel "cancel" "`POST /jobs/{id}/cancel`",
    Download "download" "`GET /jobs/{id}/download`",
    DataSpecification "data-specification" "`POST /admin/data-specification`",
    TimeoutJobs "timeout-jobs" "`POST /admin/timeout-jobs`",
    Health "health" "`GET /`",
    ApiOther "api-other" "anything else on the API's port except `/lab`",
    S3Put "s3-put" "PutObject and CopyObject",
    S3CreateUpload "s3-create-upload" "CreateMultipartUpload",
    S3UploadPart "s3-upload-part" "UploadPart",
    S3CompleteUpload "s3-complete-upload" "CompleteMultipartUpload",
    S3AbortUpload "s3-abort-upload" "AbortMultipartUpload",
    S3Get "s3-get" "GetObject",
    S3Head "s3-head" "HeadObject",
    S3Delete "s3-delete" "DeleteObject and DeleteObjects",
    S3List "s3-list" "ListObjects and ListObjectsV2",
    S3Other "s3-other" "any other S3 operation",
    AnyApi "any-api" "every route of the API",
    AnyS3 "any-s3" "every S3 operation",
    Any "any" "every request to either server",
}

impl Route {
    /// Whether a fault set on `self` applies to a request to `actual`.
    pub(crate) fn covers(self, actual: Self) -> bool {
        match self {
            Self::Any => true,
            Self::AnyApi => actual.side() == Side::Api,
            Self::AnyS3 => actual.side() == Side::S3,
            one => one == actual,
        }
    }

    pub(crate) fn side(self) -> Side {
        if self.name().starts_with("s3-") {
            Side::S3
        } else {
            Side::Api
        }
    }

    /// The route of an API request, or `None` for the lab's own routes, to which no fault applies.
    pub(crate) fn of_api(method: &Method, path: &str) -> Option<Self> {
        let path = normalized_path(path);
        let parts: Vec<_> = path.split('/').skip(1).collect();
        Some(match (method.as_str(), parts.as_slice()) {
            (_, ["lab", ..]) => return None,
            ("GET", ["api"]) => Self::Health,
            ("POST", ["api", "auth", "login"]) => Self::Login,
            ("POST", ["api", "auth", "token"]) => Self::Token,
            ("GET", ["api", "auth", "profile"]) => Self::Profile,
            ("POST", ["api", "jobs"]) => Self::Create,
            ("GET", ["api", "jobs"] | ["api", "jobs", "mine"]) => Self::List,
            ("GET", ["api", "jobs", "poll"]) => Self::Poll,
            ("POST", ["api", "jobs", "assign"]) => Self::Assign,
            ("POST", ["api", "jobs", "assignments", _, "result"]) => Self::Result,
            ("GET", ["api", "jobs", _]) => Self::Job,
            ("POST", ["api", "jobs", _, "cancel"]) => Self::Cancel,
            ("GET", ["api", "jobs", _, "download"]) => Self::Download,
            ("POST", ["api", "admin", "data-specification"]) => Self::DataSpecification,
            ("POST", ["api", "admin", "timeout-jobs"]) => Self::TimeoutJobs,
            _ => Self::ApiOther,
        })
    }

    /// The operation of a path-style S3 request.
    pub(crate) fn of_s3(method: &Method, path: &str, query: &str) -> Self {
        let has = |name: &str| {
            query
                .split('&')
                .any(|pair| pair.split('=').next() == Some(name))
        };
        let object = path
            .trim_start_matches('/')
            .split_once('/')
            .is_some_and(|(_, key)| !key.is_empty());
        match (method.as_str(), object) {
            ("PUT", true) if has("partNumber") => Self::S3UploadPart,
            ("PUT", true) => Self::S3Put,
            ("POST", true) if has("uploads") => Self::S3CreateUpload,
            ("POST", true) if has("uploadId") => Self::S3CompleteUpload,
            ("DELETE", true) if has("uploadId") => Self::S3AbortUpload,
            ("DELETE", true) => Self::S3Delete,
            ("POST", false) if has("delete") => Self::S3Delete,
            ("GET", true) if !has("uploadId") => Self::S3Get,
            ("HEAD", true) => Self::S3Head,
            ("GET", false) if path.len() > 1 && !has("location") && !has("uploads") => Self::S3List,
            _ => Self::S3Other,
        }
    }
}

/// Normalizes an API path: in lower case, with single slashes, and no slash at the end.
pub(crate) fn normalized_path(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(str::to_ascii_lowercase).collect();
    format!("/{}", parts.join("/"))
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<Route> for &'static str {
    fn from(route: Route) -> Self {
        route.name()
    }
}

/// There is no route with this name.
#[derive(Debug, thiserror::Error)]
#[error("no route is called `{0}`; use one of {known}", known = Route::ALL.iter().map(|route| route.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownRoute(String);

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|route| route.name() == name);
        known.copied().ok_or_else(|| UnknownRoute(name.to_owned()))
    }
}

impl TryFrom<String> for Route {
    type Error = UnknownRoute;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_route_is_recognized_in_any_case_and_with_any_number_of_slashes() {
        assert_eq!(
            Route::of_api(&Method::POST, "/API/Jobs/Assign/"),
            Some(Route::Assign)
        );
        assert_eq!(Route::of_api(&Method::GET, "/api/"), Some(Route::Health));
        assert_eq!(
            Route::of_api(&Method::GET, "/api/jobs/poll"),
            Some(Route::Poll)
        );
        assert_eq!(
            Route::of_api(&Method::GET, "/api/jobs/12"),
            Some(Route::Job)
        );
        assert_eq!(
            Route::of_api(&Method::POST, "//api//jobs///assign//"),
            Some(Route::Assign)
        );
        for path in ["/lab/faults", "//lab//faults"] {
            assert_eq!(Route::of_api(&Method::POST, path), None);
        }
    }

    #[test]
    fn an_s3_route_is_recognized_by_method_and_query() {
        let cases = [
            (Method::PUT, "/b/k", "x-id=PutObject", Route::S3Put),
            (
                Method::PUT,
                "/b/k",
                "partNumber=1&uploadId=u",
                Route::S3UploadPart,
            ),
            (Method::POST, "/b/k", "uploads", Route::S3CreateUpload),
            (Method::POST, "/b/k", "uploadId=u", Route::S3CompleteUpload),
            (Method::DELETE, "/b/k", "uploadId=u", Route::S3AbortUpload),
            (Method::GET, "/b/k/l", "", Route::S3Get),
            (Method::GET, "/b", "list-type=2", Route::S3List),
            (Method::GET, "/b/", "list-type=2", Route::S3List),
            (Method::GET, "/", "", Route::S3Other),
            (Method::HEAD, "/b", "", Route::S3Other),
        ];
        for (method, path, query, route) in cases {
            assert_eq!(
                Route::of_s3(&method, path, query),
                route,
                "{method} {path}?{query}"
            );
        }
    }

    #[test]
    fn groups_cover_the_routes_of_their_server() {
        assert!(Route::Any.covers(Route::S3Put) && Route::AnyS3.covers(Route::S3Put));
        assert!(!Route::AnyApi.covers(Route::S3Put) && !Route::Poll.covers(Route::Assign));
    }
}
