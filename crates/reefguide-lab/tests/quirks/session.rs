//! A lab and a client that is logged in to it.

use std::io;

use reefguide_lab::{Fault, Lab, LabBuilder};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::s3_client::{self, s3_client};

pub(crate) struct Session {
    pub(crate) lab: Lab,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl Session {
    /// A lab without races.
    pub(crate) async fn without_races() -> Self {
        Self::with(Lab::builder().assign_race(std::time::Duration::ZERO)).await
    }

    pub(crate) async fn with(builder: LabBuilder) -> Self {
        Self::of(builder.start().await.unwrap(), "worker@email.com").await
    }

    pub(crate) async fn of(lab: Lab, email: &str) -> Self {
        let http = reqwest::Client::new();
        let (status, answer) = login(&http, &lab, email).await;
        assert_eq!(status, StatusCode::OK);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self {
            http,
            token: text("token"),
            refresh_token: text("refreshToken"),
            lab,
        }
    }

    pub(crate) async fn login_status(&self, email: &str) -> StatusCode {
        login(&self.http, &self.lab, email).await.0
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.lab.faults().add(fault);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.lab.api_endpoint())
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<Response> {
        self.http
            .get(self.url(path))
            .bearer_auth(&self.token)
            .send()
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        self.http
            .post(self.url(path))
            .bearer_auth(&self.token)
            .json(body)
            .send()
            .await
    }

    pub(crate) async fn assign(&self, job: i64) -> reqwest::Result<Response> {
        self.post(
            "/api/jobs/assign",
            &json!({ "jobId": job, "ecsTaskArn": "t", "ecsClusterArn": "c" }),
        )
        .await
    }

    pub(crate) async fn assign_status(&self, job: i64) -> StatusCode {
        self.assign(job).await.unwrap().status()
    }

    pub(crate) async fn assigned(&self, job: i64) -> Value {
        json_of(self.assign(job).await.unwrap()).await["assignment"].take()
    }

    pub(crate) async fn result(
        &self,
        assignment: &Value,
        body: &Value,
    ) -> reqwest::Result<Response> {
        self.post(
            &format!("/api/jobs/assignments/{}/result", assignment["id"]),
            body,
        )
        .await
    }

    pub(crate) async fn result_status(&self, assignment: &Value, body: &Value) -> StatusCode {
        self.result(assignment, body).await.unwrap().status()
    }

    pub(crate) async fn polled(&self, job_type: &str) -> Vec<i64> {
        let answer = json_of(
            self.get(&format!("/api/jobs/poll?jobType={job_type}"))
                .await
                .unwrap(),
        )
        .await;
        answer["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_i64().unwrap())
            .collect()
    }

    pub(crate) fn status(&self, job: i64) -> Value {
        self.lab.job(job).unwrap()["status"].take()
    }

    pub(crate) fn submit(&self, id: i64) -> i64 {
        self.lab.submit("TEST", json!({ "id": id })).unwrap()
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        s3_client(&self.lab)
    }

    /// Stores `content` under `key` in the lab's bucket.
    pub(crate) async fn put(&self, key: &str, content: &'static [u8]) {
        s3_client::put(&self.lab, key, content).await;
    }

    /// The prefix of an assignment's keys.
    pub(crate) fn prefix<'a>(&self, assignment: &'a Value) -> &'a str {
        s3_client::prefix(&self.lab, assignment)
    }
}

async fn login(http: &reqwest::Client, lab: &Lab, email: &str) -> (StatusCode, Value) {
    let url = format!("{}/api/auth/login", lab.api_endpoint());
    let body = json!({ "email": email, "password": "password" });
    let answer = http
        .post(url)
        .json(&body)
        .header("x-forwarded-for", fastrand::u32(..).to_string())
        .send()
        .await
        .unwrap();
    (answer.status(), json_of(answer).await)
}

pub(crate) async fn json_of(answer: Response) -> Value {
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// A plain connection, without the features of an HTTP client.
pub(crate) struct RawConnection(TcpStream);

impl RawConnection {
    pub(crate) async fn to(lab: &Lab) -> Self {
        Self(
            TcpStream::connect(lab.api_endpoint().trim_start_matches("http://"))
                .await
                .unwrap(),
        )
    }

    /// Sends a request for the health route.
    pub(crate) async fn ask(&mut self) {
        self.0
            .write_all(b"GET /api/ HTTP/1.1\r\nHost: lab\r\n\r\n")
            .await
            .unwrap();
    }

    /// Reads until the text ends with `end`.
    pub(crate) async fn read_to(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// Reads until the connection ends. Returns the number of bytes, or the error.
    pub(crate) async fn end(&mut self) -> io::Result<usize> {
        self.0.read_to_end(&mut Vec::new()).await
    }

    /// Whether nothing has been received so far.
    pub(crate) fn is_silent(&self) -> bool {
        self.0
            .try_read(&mut [0])
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

pub(crate) const HEALTHY: &str = r#"{"message":"API healthy."}"#;
