//! Tests of the page's routes, and that other websites cannot use them.

use aws_sdk_s3::primitives::ByteStream;
use reefguide_lab::{Fault, JobTypeSpec, Lab, Route};
use reqwest::header::{HOST, ORIGIN};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::session::{Session, json_of};

/// The stream of states that the page receives.
struct Live(Response);

impl Live {
    async fn of(lab: &Lab, query: &str) -> Self {
        let url = format!("{}/live?{query}", lab.page());
        Self(reqwest::get(url).await.unwrap().error_for_status().unwrap())
    }

    async fn next(&mut self) -> Value {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            let chunk = self.0.chunk().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        serde_json::from_str(data.unwrap()).unwrap()
    }

    async fn until(&mut self, condition: impl Fn(&Value) -> bool) -> Value {
        loop {
            let state = self.next().await;
            if condition(&state) {
                return state;
            }
        }
    }
}

#[tokio::test]
async fn every_file_of_the_page_is_served_and_may_load_nothing_from_other_origins() {
    let lab = Lab::builder().start().await.unwrap();
    let mut wanted = vec![lab.page()];
    let mut seen = Vec::new();
    while let Some(url) = wanted.pop() {
        if seen.contains(&url) {
            continue;
        }
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        let policy = answer.headers()["content-security-policy"].to_str();
        assert!(
            policy
                .unwrap()
                .starts_with("default-src 'none'; script-src 'self';")
        );
        let text = answer.text().await.unwrap();
        let names = text.split('"').filter_map(|part| {
            let module = part.strip_prefix("./").filter(|name| name.ends_with(".js"));
            module.or_else(|| part.strip_prefix("/lab/page/"))
        });
        wanted.extend(names.map(|name| format!("{}/page/{name}", lab.page())));
        seen.push(url);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[tokio::test]
async fn the_page_receives_jobs_faults_and_outputs_as_they_change() {
    let session = Session::without_races().await;
    let lab = &session.lab;
    let mut list = Live::of(lab, "status=PENDING").await;
    assert_eq!(
        list.next().await,
        json!({ "counts": {}, "faults": [], "jobs": [], "job": null })
    );
    let job = session.submit(1);
    let state = list.until(|state| state["jobs"][0]["id"] == job).await;
    assert_eq!(state["counts"], json!({ "PENDING": 1 }));

    lab.faults().add(Fault::reset(Route::Result).times(1));
    let state = list
        .until(|state| state["faults"][0]["route"] == "result")
        .await;
    assert_eq!(state["faults"][0]["fired"], 0);

    let mut detail = Live::of(lab, &format!("job={job}")).await;
    assert_eq!(detail.next().await["job"]["assignments"], json!([]));
    let assignment = session.assigned(job).await;
    let state = list.until(|state| state["jobs"] == json!([])).await;
    assert_eq!(state["counts"], json!({ "IN_PROGRESS": 1 }));
    let prefix = session.prefix(&assignment);
    let key = format!("{prefix}/maps/a b.txt");
    session.put(&key, b"content").await;
    let id = assignment["id"].to_string();
    let state = detail
        .until(|state| state["job"]["outputs"][&id] != json!([]))
        .await;
    let shown = &state["job"];
    assert_eq!(
        shown["outputs"][&id],
        json!([{ "key": key, "path": "maps/a b.txt", "size": 7 }])
    );
    let requests = shown["requests"].as_array().unwrap();
    let routes: Vec<_> = requests.iter().map(|request| &request["route"]).collect();
    assert_eq!(routes, ["assign", "s3-put"]);

    let log = format!("job-logs/{job}/{id}.jsonl");
    for key in [&log, &format!("job-logs/{job}0/{id}.jsonl.gz")] {
        session.put(key, b"{}\n").await;
    }
    let state = detail
        .until(|state| state["job"]["logs"] != json!([]))
        .await;
    let listed = json!([{ "key": log, "path": log, "size": 3 }]);
    assert_eq!(state["job"]["logs"], listed);
    assert_eq!(
        Live::of(lab, "job=99").await.next().await["job"],
        json!(null)
    );
}

#[tokio::test]
async fn an_output_is_downloaded_as_a_file_that_browsers_do_not_run() {
    let session = Session::without_races().await;
    let put = session.s3().put_object().bucket("reefguide-dev");
    put.key("Results/évil page.html")
        .content_type("text/html")
        .body(ByteStream::from_static(b"<script>alert(1)</script>"))
        .send()
        .await
        .unwrap();
    let ask = |key: &'static str| {
        let url = format!("{}/objects", session.lab.page());
        session.http.get(url).query(&[("key", key)]).send()
    };
    let answer = ask("Results/évil page.html").await.unwrap();
    assert_eq!(
        answer.headers()["content-disposition"],
        "attachment; filename*=UTF-8''%C3%A9vil%20page%2Ehtml"
    );
    assert_eq!(
        answer.headers()["content-security-policy"],
        "default-src 'none'; sandbox"
    );
    assert_eq!(answer.headers()["content-length"], "25");
    assert_eq!(answer.text().await.unwrap(), "<script>alert(1)</script>");
    assert_eq!(
        ask("nothing").await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_payload_that_does_not_match_its_schema_is_refused_with_the_places() {
    let schema = json!({
        "type": "object",
        "properties": { "depths": { "type": "array", "items": { "type": "number", "exclusiveMinimum": 0 } } },
        "required": ["depths", "a/b"],
    });
    let spec = JobTypeSpec::new("MEAN_DEPTH").input(schema.clone());
    let lab = Lab::builder().job_type(spec).start().await.unwrap();
    let http = reqwest::Client::new();
    let types = http
        .get(format!("{}/job-types", lab.page()))
        .send()
        .await
        .unwrap();
    let types = json_of(types).await;
    assert_eq!(
        types["types"][5],
        json!({ "name": "MEAN_DEPTH", "input": schema })
    );
    let submit = http.post(format!("{}/jobs", lab.page()));
    let job = json!({ "type": "MEAN_DEPTH", "payload": { "depths": [1, 0] } });
    let answer = submit.json(&job).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        json_of(answer).await,
        json!({
            "status": 400,
            "message": "Invalid payload for job type MEAN_DEPTH",
            "errors": [
                { "path": "/a~1b", "message": "is required" },
                { "path": "/depths/1", "message": "value is less than or equal to the minimum of 0" },
            ],
        })
    );
}

#[tokio::test]
async fn only_a_pending_job_can_be_cancelled() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let cancel = || {
        let url = format!("{}/jobs/{job}/cancel", session.lab.page());
        session.http.post(url).send()
    };
    assert_eq!(cancel().await.unwrap().status(), StatusCode::OK);
    assert_eq!(session.status(job), "CANCELLED");
    let again = cancel().await.unwrap();
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn other_websites_cannot_use_the_labs_own_routes() {
    let lab = Lab::builder().start().await.unwrap();
    let http = reqwest::Client::new();
    let host = lab.api_endpoint().strip_prefix("http://").unwrap();
    let port = host.rsplit(':').next().unwrap();
    let own = format!("http://{host}");
    let named = format!("lab:{port}");
    let rebound = format!("evil.example:{port}");
    let cases = [
        (host, None, true),
        (host, Some(own.as_str()), true),
        (named.as_str(), None, true),
        (host, Some("http://evil.example"), false),
        (host, Some("http://127.0.0.1:1"), false),
        (host, Some("null"), false),
        (rebound.as_str(), None, false),
    ];
    for (host, origin, allowed) in cases {
        for path in ["", "/live", "/faults", "/requests", "/page/main.js"] {
            let mut ask = http.get(format!("{}{path}", lab.page())).header(HOST, host);
            if let Some(origin) = origin {
                ask = ask.header(ORIGIN, origin);
            }
            let answer = ask.send().await.unwrap();
            let expected = if allowed {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            assert_eq!(answer.status(), expected, "{host} {origin:?} {path}");
            let headers = answer.headers();
            assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
            assert!(!headers.contains_key("access-control-allow-origin"));
        }
    }
    let clear = http.delete(format!("{}/faults", lab.page()));
    let answer = clear
        .header(ORIGIN, "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(
        json_of(answer).await["message"],
        format!("a page of http://evil.example may not use the lab at {host}")
    );
}

#[tokio::test]
async fn the_pages_requests_are_not_logged_and_no_fault_fires_on_them() {
    let lab = Lab::builder().start().await.unwrap();
    lab.faults().add(Fault::reset(Route::Any));
    for path in ["", "/page/style.css", "/job-types", "/routes"] {
        let answer = reqwest::get(format!("{}{path}", lab.page())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    Live::of(&lab, "").await.next().await;
    assert_eq!(lab.faults().fired(), 0);
    assert!(lab.requests().is_empty());
}
