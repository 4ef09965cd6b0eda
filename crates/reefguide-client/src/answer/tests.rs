//! Answers of the API and of other servers, and what is made of them.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;

use super::Answer;
use crate::error::ApiError;

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html";
const PAGE: &str = "<!DOCTYPE html>\n<html><pre>Cannot GET /api/health</pre></html>";

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
    }
    Answer {
        call: "POST /x".into(),
        email: "w@x".into(),
        endpoint: "http://api.example/base".into(),
        url: "http://api.example/base/api/x?q=1".parse().unwrap(),
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.to_owned().into(),
    }
}

fn read(status: u16, content_type: &str, body: &str) -> ApiError {
    answer(status, content_type, body).success().err().unwrap()
}

fn shown(answers: &[(u16, &str, &str)]) -> String {
    let lines = answers.iter().map(|(status, content_type, body)| {
        let error = read(*status, content_type, body);
        format!("{status} retryable={:<5} {error}", error.is_retryable())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_shape_of_error_has_its_own_variant() {
    let read = shown(&[
        (
            400,
            JSON,
            r#"{"status":400,"message":"Job is not available for assignment"}"#,
        ),
        (
            400,
            JSON,
            r#"[{"type":"Body","errors":{"issues":[{"code":"invalid_type","path":["jobId"],"message":"Required"},{"code":"x","path":["regions",0,"description"],"message":"Expected string, received null"}],"name":"ZodError"}}]"#,
        ),
        (401, "", "Unauthorized"),
        (
            401,
            JSON,
            r#"{"status":401,"message":"You are not authorised to access this service."}"#,
        ),
        (404, JSON, r#"{"status":404,"message":"Job not found"}"#),
        (429, JSON, r#"{"error":"Too many attempts."}"#),
        (
            500,
            JSON,
            r#"{"status":500,"message":"An unexpected error occurred"}"#,
        ),
        (
            502,
            HTML,
            "<html>\n<head><title>502 Bad Gateway</title></head>",
        ),
        (503, "", ""),
    ]);
    insta::assert_snapshot!(read);
}

#[test]
fn an_error_of_any_other_form_counts_as_a_transport_problem() {
    let foreign = [
        (400, HTML, PAGE),
        (400, JSON, "{}"),
        (400, JSON, "[]"),
        (400, JSON, r#"[400,"an array"]"#),
        (400, JSON, r#"{"message":"no status"}"#),
        (400, JSON, r#"{"status":404,"message":"another status"}"#),
        (400, HTML, r#"{"status":400,"message":"not as JSON"}"#),
        (401, HTML, "<html>Sign in</html>"),
        (401, "text/plain", "Unauthorized"),
        (401, "", "Unauthorized by the gateway"),
        (401, "", ""),
        (403, HTML, "<html>Blocked by the firewall</html>"),
        (403, JSON, r#"{"message":"Forbidden"}"#),
        (404, HTML, PAGE),
        (404, "text/plain", "404 page not found"),
        (
            404,
            JSON,
            r#"{"timestamp":1,"status":404,"error":"Not Found","message":"none","path":"/api/x"}"#,
        ),
        (405, HTML, PAGE),
        (408, "", ""),
        (413, HTML, PAGE),
        (429, HTML, PAGE),
        (429, JSON, r#"{"message":"Too many requests"}"#),
        (100, "", ""),
        (201, JSON, "{}"),
        (204, "", ""),
        (206, JSON, "{}"),
        (300, HTML, PAGE),
        (304, "", ""),
        (600, "", ""),
    ];
    for (status, content_type, body) in foreign {
        let error = read(status, content_type, body);
        assert!(
            matches!(error, ApiError::Foreign { .. }),
            "{status} {content_type} {body}: {error:?}"
        );
        assert!(error.is_retryable() && error.may_have_acted() && !error.is_denied());
        assert!(!error.is_rate_limited() && !error.is_gone(), "{error}");
    }
    insta::assert_snapshot!(shown(&foreign));
}

#[test]
fn a_success_counts_only_as_json_of_its_form() {
    #[derive(Debug, Deserialize)]
    struct Jobs {
        #[serde(rename = "jobs")]
        _jobs: Vec<u8>,
    }
    let read = |content_type, body| answer(200, content_type, body).json::<Jobs>();
    assert!(read(JSON, r#"{"jobs":[]}"#).is_ok());
    assert!(read("Application/JSON", r#"{"jobs":[]}"#).is_ok());
    let mut shown = String::new();
    for (content_type, body) in [
        (HTML, PAGE),
        (JSON, PAGE),
        ("", PAGE),
        ("text/plain", r#"{"jobs":[]}"#),
        (HTML, r#"{"jobs":[]}"#),
        (JSON, r#"{"jobs":["#),
        (JSON, "{}"),
        (JSON, "[]"),
        (JSON, "[[]]"),
        (JSON, "null"),
        (JSON, r#"{"jobs":{}}"#),
        (JSON, ""),
        ("", ""),
    ] {
        let error = read(content_type, body).unwrap_err();
        assert!(error.is_retryable() && error.may_have_acted(), "{error:?}");
        shown += &format!("{}\n", reefguide_transport::Chain(&error));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_success_without_content_has_no_body() {
    assert!(answer(200, "", "").empty().is_ok());
    for (content_type, body) in [(HTML, PAGE), (HTML, ""), (JSON, "{}"), ("", " ")] {
        let error = answer(200, content_type, body).empty().unwrap_err();
        assert!(error.is_retryable(), "{content_type} {body}: {error}");
    }
}

#[test]
fn answers_that_may_contain_secrets_are_not_shown() {
    for call in ["POST /auth/login", "GET /jobs/7/download"] {
        for body in [
            r#""hunter2""#,
            r#"{"token": hunter2"#,
            r#"{"files":"hunter2"}"#,
        ] {
            for content_type in [JSON, "text/plain"] {
                let mut answer = answer(200, content_type, body);
                answer.call = call.into();
                let error = answer.json::<Vec<String>>().unwrap_err();
                let shown = format!("{} {error:?}", reefguide_transport::Chain(&error));
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
    }
}

#[test]
fn a_redirect_names_the_endpoint_to_use_or_the_address_it_leads_to() {
    let mut shown = String::new();
    for location in [
        "https://api.example/base/api/x",
        "https://api.example/base/API/x/?q=1#here",
        "https://other.example:8443/v2/api/x?token=secret",
        "https://user:secret@other.example/api/x",
        "//other.example/api/x",
        "/elsewhere/api/x",
        "https://login.example/sign-in?next=secret",
        "/maintenance.html",
        "/base/api/x/",
        "https://other.example",
        "ftp://other.example/api/x",
        "https://[",
    ] {
        let mut answer = answer(308, "", "");
        answer.headers.insert(LOCATION, location.parse().unwrap());
        let error = answer.success().err().unwrap();
        assert!(error.is_retryable() && error.may_have_acted(), "{error:?}");
        shown += &format!("{location}\n  {error}\n");
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date_and_obeyed_for_an_hour_at_most() {
    let with = |value: &str| {
        let mut answer = answer(503, "", "");
        answer.headers.insert(RETRY_AFTER, value.parse().unwrap());
        answer.success().err().unwrap().retry_after()
    };
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(with("900"), Some(Duration::from_secs(900)));
    assert_eq!(with("0"), Some(Duration::ZERO));
    assert_eq!(with("Sun, 22 Nov 2020 21:22:43 GMT"), Some(Duration::ZERO));
    for long in [
        "3601",
        "2300000000",
        "18446744073709551615",
        "99999999999999999999",
        "Sun, 22 Nov 2099 21:22:43 GMT",
    ] {
        assert_eq!(with(long), hour, "{long}");
    }
    for nothing in ["soon", "", "-1", "+1", "1.5", "1e3", "0x10"] {
        assert_eq!(with(nothing), None, "{nothing}");
    }
}

#[test]
fn too_many_logins_are_distinguished_from_other_failures_even_in_another_task() {
    let limited = || read(429, JSON, r#"{"error":"Too many attempts."}"#);
    let others = |error| ApiError::Login(Arc::new(error));
    assert!(limited().is_rate_limited());
    assert!(others(limited()).is_rate_limited());
    assert!(!read(503, "", "").is_rate_limited());
    assert!(!others(read(503, "", "")).is_rate_limited());
}

#[test]
fn only_a_request_that_was_sent_and_not_refused_may_have_acted() {
    let never_sent = ApiError::Transport {
        call: "POST /x".into(),
        endpoint: "http://api".into(),
        source: reqwest::Client::new().get("no URL").build().unwrap_err(),
    };
    assert!(!never_sent.may_have_acted());
    assert!(!read(400, JSON, r#"{"status":400,"message":"taken"}"#).may_have_acted());
    assert!(!read(429, JSON, r#"{"error":"Too many attempts."}"#).may_have_acted());
    assert!(read(500, "", "").may_have_acted());
}

#[test]
fn only_the_service_itself_can_say_that_a_job_is_gone() {
    for (message, gone) in [
        ("Job not found", true),
        ("Assignment not found", true),
        ("Not Found", false),
        ("User not found", false),
    ] {
        let body = format!(r#"{{"status":404,"message":"{message}"}}"#);
        assert_eq!(read(404, JSON, &body).is_gone(), gone, "{message}");
    }
    assert!(!read(404, HTML, PAGE).is_gone());
}
