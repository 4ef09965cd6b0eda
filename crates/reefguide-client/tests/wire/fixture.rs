//! A client and the answers it gets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use httpmock::prelude::*;
use httpmock::{Mock, Then};
use reefguide_client::Client;
use serde_json::json;

pub(crate) const EMAIL: &str = "worker@email.com";

pub(crate) const PAGE: &str = "<!DOCTYPE html>\n<html><title>Maintenance</title></html>";

/// Answers that are not the API's: a status, a content type and a body.
pub(crate) const FOREIGN: [(u16, &str, &str); 22] = [
    (200, "text/html", PAGE),
    (200, "text/html", ""),
    (200, "application/json", PAGE),
    (200, "text/plain", "ok"),
    (200, "application/json", "{}"),
    (200, "application/json", "[]"),
    (200, "application/json", "null"),
    (200, "application/json", r#"{"status":"ok"}"#),
    (200, "application/json", r#"{"jobs":[],"job":{"#),
    (200, "application/json", r#"{"message":"API healthy."}"#),
    (201, "application/json", "{}"),
    (204, "", ""),
    (304, "", ""),
    (400, "text/html", PAGE),
    (401, "text/html", PAGE),
    (403, "text/html", PAGE),
    (403, "application/json", r#"{"message":"Forbidden"}"#),
    (404, "text/html", PAGE),
    (405, "text/html", PAGE),
    (413, "text/html", PAGE),
    (429, "text/html", PAGE),
    (503, "text/html", PAGE),
];

pub(crate) fn answer(then: Then, (status, content_type, body): (u16, &str, &str)) -> Then {
    let then = then.status(status).body(body);
    match content_type {
        "" => then,
        content_type => then.header("content-type", content_type),
    }
}

pub(crate) fn client(server: &MockServer) -> Client {
    Client::builder(server.base_url(), EMAIL, "password")
        .build()
        .unwrap()
}

/// A token that lasts `life` seconds, distinguished from others by its `name`.
pub(crate) fn token(name: &str, life: u64) -> String {
    let claims = json!({ "iat": 1_000, "exp": 1_000 + life, "name": name }).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

pub(crate) async fn login<'a>(server: &'a MockServer, token: &str) -> Mock<'a> {
    let answer = json!({ "token": token, "refreshToken": "refresh-me" });
    server
        .mock_async(|when, then| {
            when.method(POST).path("/api/auth/login");
            then.status(200).json_body(answer);
        })
        .await
}

/// The entries of a list: jobs 1 and 9 are fine, and some between them cannot be read.
pub(crate) fn jobs() -> String {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let entries = [
        r#"{"id":1,"type":"TEST","status":"PENDING","input_payload":{"id":1}}"#,
        &format!(r#"{{"id":2,"type":"TEST","status":"PENDING","input_payload":{{"id":{deep}}}}}"#),
        r#"{"id":3,"type":"TEST","status":"PENDING","created_at":"yesterday","input_payload":{"id":3}}"#,
        r#"{"id":4,"status":"PENDING"}"#,
        r#"{"id":5,"type":"TEST","status":["PENDING"],"input_payload":{"id":5}}"#,
        r#"{"id":"6","type":"TEST","status":"PENDING"}"#,
        r#"{"type":"TEST","status":"PENDING"}"#,
        r#"{"id":9,"type":"TEST","status":"PENDING","input_payload":{"id":9}}"#,
    ];
    entries.join(",")
}
