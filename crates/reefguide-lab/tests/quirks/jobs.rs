//! Tests of submitting, listing, timing out and downloading jobs, over HTTP and through [`Lab`].

use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::session::{Session, json_of};

#[tokio::test]
async fn an_equal_payload_is_cached_unless_its_job_failed_or_was_cancelled() {
    let session = Session::without_races().await;
    for (status, cached) in [
        ("IN_PROGRESS", true),
        ("SUCCEEDED", true),
        ("FAILED", false),
        ("CANCELLED", false),
    ] {
        let payload = json!({ "region": status, "reef_type": "a  b" });
        let first = session.lab.submit("REGIONAL_ASSESSMENT", payload).unwrap();
        let assignment = session.assigned(first).await;
        session
            .result(&assignment, &json!({ "status": status }))
            .await
            .unwrap();
        // The payload is equal despite another order of keys and other white space.
        let payload: Value =
            serde_json::from_str(&format!(r#"{{"reef_type": "a b ", "region": "{status}"}}"#))
                .unwrap();
        let body = json!({ "type": "REGIONAL_ASSESSMENT", "inputPayload": payload });
        let answer = json_of(session.post("/api/jobs", &body).await.unwrap()).await;
        assert_eq!(
            (answer["cached"].clone(), answer["jobId"] == first),
            (cached.into(), cached),
            "{status}"
        );
    }
}

#[tokio::test]
async fn timeout_jobs_times_out_pending_and_running_jobs_of_the_given_types() {
    let session = Session::without_races().await;
    let (waiting, running, done) = (session.submit(1), session.submit(2), session.submit(3));
    session.assigned(running).await;
    session
        .result(
            &session.assigned(done).await,
            &json!({ "status": "SUCCEEDED" }),
        )
        .await
        .unwrap();
    let other = session
        .lab
        .submit("DATA_SPECIFICATION_UPDATE", json!({}))
        .unwrap();
    let all = async |body: Value| {
        json_of(
            session
                .post("/api/admin/timeout-jobs", &body)
                .await
                .unwrap(),
        )
        .await
    };
    let young = all(json!({ "timeoutThresholdMinutes": 120 })).await;
    assert_eq!(
        young,
        json!({ "totalTimedOut": 0, "byType": {}, "timedOutJobIds": [] })
    );
    let default = all(json!({})).await;
    assert_eq!(default["totalTimedOut"], 0);
    let old = all(json!({ "timeoutThresholdMinutes": 1e-6, "jobTypes": ["TEST"] })).await;
    assert_eq!(
        old,
        json!({ "totalTimedOut": 2, "byType": { "TEST": 2 }, "timedOutJobIds": [waiting, running] })
    );
    assert_eq!(
        (session.status(done), session.status(other)),
        ("SUCCEEDED".into(), "PENDING".into())
    );
    assert_eq!(session.polled("TEST").await, Vec::<i64>::new());
    let rest = all(json!({ "timeoutThresholdMinutes": 1e-6, "jobTypes": [] })).await;
    assert_eq!(rest["timedOutJobIds"], json!([other]));
}

#[tokio::test]
async fn timeout_jobs_needs_a_threshold_above_zero_or_none() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    for threshold in [json!(0), json!(0.0), json!(-1), json!(-0.5)] {
        let body = json!({ "timeoutThresholdMinutes": threshold });
        let answer = session
            .post("/api/admin/timeout-jobs", &body)
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{threshold}");
        assert_eq!(
            answer.text().await.unwrap(),
            r#"[{"type":"Body","errors":{"issues":[{"code":"too_small","minimum":0,"type":"number","inclusive":false,"exact":false,"message":"Number must be greater than 0","path":["timeoutThresholdMinutes"]}],"name":"ZodError"}}]"#
        );
    }
    let none = json!({ "timeoutThresholdMinutes": null });
    let answer = session.post("/api/admin/timeout-jobs", &none).await;
    assert_eq!(answer.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(session.status(job), "PENDING");
}

#[tokio::test]
async fn a_list_shows_fifty_and_counts_all() {
    let session = Session::without_races().await;
    for id in 0..51 {
        session.submit(id);
    }
    let running = session.submit(7);
    session.assigned(running).await;
    let listed = json_of(session.get("/api/jobs").await.unwrap()).await;
    assert_eq!(
        (
            listed["jobs"].as_array().unwrap().len(),
            listed["total"].clone()
        ),
        (50, json!(51))
    );
    let listed = json_of(
        session
            .get("/api/jobs/mine?status=IN_PROGRESS")
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        (listed["total"].clone(), listed["jobs"][0]["id"].clone()),
        (json!(1), json!(running))
    );
    assert_eq!(
        json_of(session.get("/api/jobs?userId=1").await.unwrap()).await["total"],
        0
    );
}

#[tokio::test]
async fn a_download_lists_up_to_25_files_by_plain_prefix() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let assignment = session.assigned(job).await;
    let prefix = session.prefix(&assignment);
    for number in 0..24 {
        let key = format!("{prefix}/out/{number}.txt");
        session.put(&key, b"content").await;
    }
    // A sibling whose key begins with the same characters counts too.
    session.put(&format!("{prefix}-notes"), b"content").await;
    session
        .result(&assignment, &json!({ "status": "SUCCEEDED" }))
        .await
        .unwrap();
    let answer = json_of(
        session
            .get(&format!("/api/jobs/{job}/download?expirySeconds=60"))
            .await
            .unwrap(),
    )
    .await;
    let files = answer["files"].as_object().unwrap();
    assert_eq!(files.len(), 25);
    assert!(files.contains_key("-notes"));
    let url = files["out/7.txt"].as_str().unwrap();
    assert!(url.contains("X-Amz-Expires=60"), "{url}");
    let object = session.http.get(url).send().await.unwrap();
    assert_eq!(object.text().await.unwrap(), "content");
    let answer = session
        .get(&format!("/api/jobs/{job}/download?filterPrefix=out/1"))
        .await
        .unwrap();
    assert_eq!(
        json_of(answer).await["files"].as_object().unwrap().len(),
        11
    );
}

#[tokio::test]
async fn an_added_type_is_checked_against_its_schema_and_other_types_are_unknown() {
    let schema = json!({ "type": "object", "required": ["image"] });
    let lab = Lab::builder().job_type(
        JobTypeSpec::new("COUNT_CORAL")
            .input(schema.clone())
            .result(schema),
    );
    let session = Session::with(lab).await;
    assert!(
        session
            .lab
            .submit("COUNT_CORAL", json!({ "image": "x" }))
            .is_ok()
    );
    assert!(session.lab.submit("COUNT_CORAL", json!({})).is_err());
    assert!(session.lab.submit("OTHER", json!({})).is_err());
    let answer = session
        .get("/api/jobs/poll?jobType=OTHER")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        answer.contains("'ADRIA_MODEL_RUN' | 'COUNT_CORAL'"),
        "{answer}"
    );
    let open = Session::with(Lab::builder().any_job_type()).await;
    assert_eq!(open.polled("OTHER").await, Vec::<i64>::new());
}

#[tokio::test]
async fn waiting_for_a_job_ends_when_a_request_changes_it() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let work = async {
        let assignment = session.assigned(job).await;
        session
            .result(
                &assignment,
                &json!({ "status": "SUCCEEDED", "resultPayload": {} }),
            )
            .await
            .unwrap();
    };
    let (done, ()) = tokio::join!(
        session
            .lab
            .wait_for(job, |job| job["status"] == "SUCCEEDED"),
        work
    );
    assert_eq!(
        done.unwrap()["assignments"][0]["result"]["result_payload"],
        json!({})
    );
    assert!(session.lab.wait_for(999, |_| false).await.is_err());
    session
        .lab
        .wait_until(|lab| {
            lab.requests()
                .iter()
                .any(|request| request.job_id == Some(job))
        })
        .await;
}

#[tokio::test]
async fn the_next_lab_has_the_data_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::with(
        Lab::builder()
            .data(folder.path())
            .assign_race(Duration::ZERO),
    )
    .await;
    let job = session.submit(1);
    session.put("a/b", b"kept").await;
    session.lab.shutdown().await;

    let session = Session::with(Lab::builder().data(folder.path())).await;
    assert_eq!(
        (session.polled("TEST").await, session.submit(1)),
        (vec![job], job)
    );
    let object = session
        .s3()
        .get_object()
        .bucket("reefguide-dev")
        .key("a/b")
        .send()
        .await
        .unwrap();
    assert_eq!(object.body.collect().await.unwrap().to_vec(), b"kept");
}

#[tokio::test]
async fn a_folder_in_use_is_reported_until_its_lab_shuts_down() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || Lab::builder().data(folder.path().join("data"));
    let lab = builder().start().await.unwrap();
    let error = builder().start().await.unwrap_err().to_string();
    let path = folder.path().join("data");
    assert_eq!(
        error,
        format!(
            "another lab uses the data in {}; stop that one, or give this one another folder",
            path.display()
        )
    );
    lab.shutdown().await;
    drop(builder().start().await.unwrap());
}

#[tokio::test]
async fn a_port_in_use_is_reported() {
    let lab = Lab::builder().start().await.unwrap();
    let port = lab
        .api_endpoint()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let error = Lab::builder().s3_port(port).start().await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}
