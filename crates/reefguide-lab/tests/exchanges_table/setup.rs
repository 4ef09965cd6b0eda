//! Puts a lab into the state in which an exchange was recorded, and sends the recorded request.

use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::exchange::{Exchange, Message};
use crate::s3_client;

const WORKER: &str = "worker@email.com";

/// A new lab's response to the exchange's request. Panics if the exchange has no case here.
pub(crate) async fn replay(http: &Client, name: &str, exchange: &Exchange) -> Message {
    let fixture = Fixture {
        lab: lab_for(name).await,
        http,
    };
    let mut request = exchange.request.clone();
    fixture
        .prepare(name, &mut request, &exchange.response)
        .await;
    if request
        .header("authorization")
        .is_some_and(|value| value == "Bearer <token>")
    {
        let email = if name == "01v-default-role-poll" {
            "default@email.com"
        } else {
            WORKER
        };
        let token = fixture.token(email).await;
        request.set_header("authorization", format!("Bearer {token}"));
    }
    let answer = fixture.send(&request).await;
    fixture.lab.shutdown().await;
    answer
}

async fn lab_for(name: &str) -> Lab {
    let builder = match name {
        "01x-expired-jwt" => Lab::builder().token_life(Duration::ZERO),
        "01y-expired-refresh-token" => Lab::builder().refresh_life(Duration::ZERO),
        "05l-result-after-expiry" => {
            Lab::builder().job_type(JobTypeSpec::new("TEST").expiry(Duration::ZERO))
        }
        _ => Lab::builder(),
    };
    builder.assign_race(Duration::ZERO).start().await.unwrap()
}

struct Fixture<'a> {
    lab: Lab,
    http: &'a Client,
}

impl Fixture<'_> {
    async fn prepare(&self, name: &str, request: &mut Message, recorded: &Message) {
        match name {
            // Nothing to prepare.
            "01a-login-ok"
            | "01e-login-malformed-json"
            | "01l-token-garbage"
            | "01m-token-missing"
            | "01o-token-unknown-id"
            | "01q-no-auth-header"
            | "01t-profile"
            | "01v-default-role-poll"
            | "01x-expired-jwt"
            | "01za-unauth-invalid-body-gives-400"
            | "02a-create-TEST"
            | "02c-create-SUITABILITY"
            | "02d-create-REGIONAL"
            | "02e-create-DATA_SPEC"
            | "02f-create-ADRIA"
            | "02g-create-invalid-payload"
            | "02h-create-extra-key"
            | "02i-create-unknown-type"
            | "02k-create-empty-body"
            | "03b-poll-unknown-type"
            | "03d-poll-two-types"
            | "04c-assign-missing-job"
            | "04d-assign-missing-fields"
            | "04g-assign-huge-id"
            | "05c-result-unknown-assignment"
            | "05d-result-non-numeric-id"
            | "05e-result-bad-status"
            | "05g-result-no-auth"
            | "05s-malformed-json"
            | "06p-get-job-unknown"
            | "06s-list-bad-status"
            | "06w-health"
            | "06x-readme-health-path"
            | "06zd-dataspec-ok"
            | "06zh-dataspec-null-optional" => {}

            // Earlier logins.
            "01b-login-wrong-password" => self.logins(1).await,
            "01d-login-missing-field" => self.logins(3).await,
            "01g-login-rate-limited" => self.logins(5).await,
            "01k-token-ok" | "01y-expired-refresh-token" => {
                let token = &self.login(WORKER).await["refreshToken"];
                request.body = json!({ "refreshToken": token }).to_string();
            }

            // Earlier jobs.
            "02b-create-TEST-duplicate-cached" => {
                self.submit("TEST", json!({ "id": 1 }));
            }
            "03a-poll-type" => self.jobs_of(recorded),
            "03h-poll-no-filter-head-of-line" => {
                self.jobs_of(recorded);
                // The ten jobs before it hide it.
                self.submit("TEST", json!({ "id": 102 }));
            }
            "03k-poll-if-none-match-304" => {
                self.submit(
                    "REGIONAL_ASSESSMENT",
                    json!({ "region": "R", "reef_type": "slopes" }),
                );
                let mut first = request.clone();
                first.headers.retain(|(name, _)| name == "authorization");
                let token = self.token(WORKER).await;
                request.set_header("authorization", format!("Bearer {token}"));
                first.set_header("authorization", format!("Bearer {token}"));
                let tag = self.send(&first).await.header("etag").unwrap().to_owned();
                request.set_header("if-none-match", tag);
            }

            // Claims.
            "04a-assign-ok" => self.claimable(request, "TEST", json!({ "id": 1 })),
            "04b-assign-again" => {
                self.claimable(request, "TEST", json!({ "id": 1 }));
                self.assign(1).await;
            }
            "04j-assign-adria-expiry" => {
                let payload =
                    json!({ "data_package": "MOORE", "num_scenarios": 4, "model_params": [] });
                self.claimable(request, "ADRIA_MODEL_RUN", payload);
            }

            // Results.
            "05a-result-TEST-succeeded-empty-object"
            | "05h-test-SUCCEEDED-null"
            | "05l-result-after-expiry" => {
                self.assigned(request, "TEST", json!({ "id": 1 })).await;
            }
            "05b-result-already-completed" => {
                let assignment = self.assigned(request, "TEST", json!({ "id": 1 })).await;
                self.post_result(assignment, Value::Null).await;
            }
            "05h-suit-FAILED-error"
            | "05h-suit-FAILED-missing"
            | "05h-suit-SUCCEEDED-emptyobj"
            | "05h-suit-SUCCEEDED-missing"
            | "05h-suit-SUCCEEDED-valid" => {
                self.assigned(request, "SUITABILITY_ASSESSMENT", suitability())
                    .await;
            }
            "05r-body-102401-bytes" => {
                self.assigned(request, "TEST", json!({ "id": 1 })).await;
                let frame = r#"{"status":"SUCCEEDED","padding":""}"#;
                let padding = "x".repeat(102_401 - frame.len());
                request.body = frame.replace(r#""""#, &format!("\"{padding}\""));
                assert_eq!(request.body.len(), 102_401);
            }

            // Reading and cancelling jobs.
            "06d-cancel-pending" => {
                let payload = json!({ "id": 1_795_383_260_155_409_u64 });
                self.about(request, "TEST", payload);
            }
            "06e-cancel-twice" => {
                self.about(request, "TEST", json!({ "id": 1 }));
                let token = self.token(WORKER).await;
                let mut first = request.clone();
                first.set_header("authorization", format!("Bearer {token}"));
                assert_eq!(self.send(&first).await.start, "HTTP/1.1 200 OK");
            }
            "06h-download-pending" => self.about(request, "SUITABILITY_ASSESSMENT", suitability()),
            "06i-get-job-in-progress" => {
                self.about(request, "SUITABILITY_ASSESSMENT", suitability());
                self.assign(1).await;
            }
            "06k-get-job-succeeded" => self.finished(request, &[]).await,
            "06l-download" | "06n-download-filterPrefix-nomatch" => {
                self.finished(
                    request,
                    &["result.geojson", "charts/a.json", "charts/b.json"],
                )
                .await;
            }
            "06o-download-too-many" => {
                let names: Vec<_> = (0..26).map(|number| format!("{number}.txt")).collect();
                self.finished(
                    request,
                    &names.iter().map(String::as_str).collect::<Vec<_>>(),
                )
                .await;
            }
            other => panic!("there is no case for the exchange {other}: add what it needs"),
        }
    }

    async fn logins(&self, times: usize) {
        for _ in 0..times {
            self.login(WORKER).await;
        }
    }

    async fn token(&self, email: &str) -> String {
        let login = self.login(email).await;
        login["token"].as_str().unwrap().to_owned()
    }

    async fn login(&self, email: &str) -> Value {
        let url = format!("{}/api/auth/login", self.lab.api_endpoint());
        let answer = self
            .http
            .post(url)
            .json(&json!({ "email": email, "password": "password" }))
            .send()
            .await;
        answer.unwrap().json().await.unwrap()
    }

    fn submit(&self, job_type: &str, payload: Value) -> i64 {
        self.lab.submit(job_type, payload).unwrap()
    }

    /// Submits the jobs in a recorded response.
    fn jobs_of(&self, recorded: &Message) {
        let answer: Value = serde_json::from_str(&recorded.body).unwrap();
        for job in answer["jobs"].as_array().unwrap() {
            self.submit(job["type"].as_str().unwrap(), job["input_payload"].clone());
        }
    }

    /// Submits a job for the request to claim.
    fn claimable(&self, request: &mut Message, job_type: &str, payload: Value) {
        let mut body: Value = serde_json::from_str(&request.body).unwrap();
        body["jobId"] = self.submit(job_type, payload).into();
        request.body = body.to_string();
    }

    /// Submits a job and puts its id into the request's path.
    fn about(&self, request: &mut Message, job_type: &str, payload: Value) {
        let id = self.submit(job_type, payload);
        request.start = with_id(&request.start, "jobs/", id);
    }

    /// Claims a new job and puts its assignment's id into the request's path.
    async fn assigned(&self, request: &mut Message, job_type: &str, payload: Value) -> i64 {
        let id = self.assign(self.submit(job_type, payload)).await["id"]
            .as_i64()
            .unwrap();
        request.start = with_id(&request.start, "assignments/", id);
        id
    }

    /// Submits a job and finishes it with these files.
    async fn finished(&self, request: &mut Message, names: &[&str]) {
        self.about(request, "SUITABILITY_ASSESSMENT", suitability());
        let assignment = self.assign(1).await;
        let prefix = s3_client::prefix(&self.lab, &assignment);
        for name in names {
            s3_client::put(&self.lab, &format!("{prefix}/{name}"), b"{}").await;
        }
        self.post_result(
            assignment["id"].as_i64().unwrap(),
            json!({ "geojson_path": "result.geojson" }),
        )
        .await;
    }

    async fn assign(&self, job: i64) -> Value {
        let body = json!({ "jobId": job, "ecsTaskArn": "t", "ecsClusterArn": "c" });
        self.post("/api/jobs/assign", &body).await["assignment"].take()
    }

    async fn post_result(&self, assignment: i64, payload: Value) {
        let body = json!({ "status": "SUCCEEDED", "resultPayload": payload });
        self.post(&format!("/api/jobs/assignments/{assignment}/result"), &body)
            .await;
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let token = self.token(WORKER).await;
        let url = format!("{}{path}", self.lab.api_endpoint());
        let answer = self
            .http
            .post(url)
            .bearer_auth(token)
            .json(body)
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    async fn send(&self, request: &Message) -> Message {
        let (method, path) = request.start.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut sent = self
            .http
            .request(method, format!("{}{path}", self.lab.api_endpoint()));
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let answer = sent.body(request.body.clone()).send().await.unwrap();
        let (version, status) = (answer.version(), answer.status());
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let headers = headers.collect();
        Message {
            start: format!("{version:?} {status}"),
            headers,
            body: answer.text().await.unwrap(),
        }
    }
}

/// The payload of the recorded jobs of this type.
fn suitability() -> Value {
    json!({ "region": "R1795383345979639", "x_dist": 1, "y_dist": 2, "reef_type": "slopes" })
}

fn with_id(start: &str, before: &str, id: i64) -> String {
    let (left, right) = start.split_once(before).unwrap();
    let rest = right.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{left}{before}{id}{rest}")
}
