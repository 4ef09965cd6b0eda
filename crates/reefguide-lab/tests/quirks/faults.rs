//! Tests of each fault.

use std::io::ErrorKind;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use reefguide_lab::{Fault, FaultKind, Lab, Route};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::session::{HEALTHY, RawConnection, Session, json_of};

#[tokio::test]
async fn a_status_has_its_servers_shape_and_the_request_is_not_handled() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let json = "application/json; charset=utf-8";
    let shapes = [
        (400, Some(json), r#"{"status":400,"message":"Bad Request"}"#),
        (401, None, "Unauthorized"),
        (429, Some(json), r#"{"error":"Too many attempts."}"#),
        (
            500,
            Some(json),
            r#"{"status":500,"message":"An unexpected error occurred"}"#,
        ),
        (200, Some("text/html"), "<title>200 OK</title>"),
        (502, Some("text/html"), "<title>502 Bad Gateway</title>"),
        (
            503,
            Some("text/html"),
            "<title>503 Service Unavailable</title>",
        ),
    ];
    for (status, content_type, part) in shapes {
        session.fault(Fault::status(Route::Assign, status).times(1));
        let answer = session.assign(job).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(
            answer
                .headers()
                .get("content-type")
                .map(|value| value.to_str().unwrap()),
            content_type
        );
        let body = answer.text().await.unwrap();
        assert!(body.contains(part), "{body}");
    }
    assert_eq!(
        (session.status(job), session.lab.faults().fired()),
        ("PENDING".into(), 7)
    );
    assert_eq!(session.assign_status(job).await, StatusCode::OK);
}

/// The status and text of a proxy's page, which has none of the servers' headers.
async fn page_of(answer: reqwest::Response) -> (u16, String) {
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "text/html");
    for own in ["etag", "x-amz-request-id", "x-amz-id-2"] {
        assert!(!headers.contains_key(own), "{own}");
    }
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_proxys_page_has_any_status_and_the_request_is_not_handled() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    for (status, title) in [
        (200, "200 OK"),
        (201, "201 Created"),
        (404, "404 Not Found"),
        (401, "401 Unauthorized"),
        (500, "500 Internal Server Error"),
        (599, "599"),
    ] {
        let faults = session.lab.faults();
        faults.add(Fault::page(Route::Assign, status).times(1));
        let (answered, page) = page_of(session.assign(job).await.unwrap()).await;
        assert_eq!(answered, status);
        assert!(page.contains(&format!("<title>{title}")), "{page}");
    }
    assert_eq!(session.status(job), "PENDING");
}

#[tokio::test]
async fn a_proxys_page_is_sent_on_every_route_of_both_servers() {
    let session = Session::without_races().await;
    for route in Route::ALL {
        let (path, method) = a_request_to(*route);
        let server = match path.starts_with("/api") {
            true => session.lab.api_endpoint(),
            false => session.lab.s3_endpoint(),
        };
        for status in [200, 404] {
            session.fault(Fault::page(*route, status).times(1));
            let request = session
                .http
                .request(method.clone(), format!("{server}{path}"));
            let answer = request.bearer_auth(&session.token).send().await.unwrap();
            assert_eq!(page_of(answer).await.0, status, "{route}");
        }
    }
}

fn a_request_to(route: Route) -> (&'static str, Method) {
    match route {
        Route::Login => ("/api/auth/login", Method::POST),
        Route::Token => ("/api/auth/token", Method::POST),
        Route::Profile => ("/api/auth/profile", Method::GET),
        Route::Create => ("/api/jobs", Method::POST),
        Route::Poll => ("/api/jobs/poll", Method::GET),
        Route::Assign => ("/api/jobs/assign", Method::POST),
        Route::Job => ("/api/jobs/1", Method::GET),
        Route::List => ("/api/jobs/mine", Method::GET),
        Route::Result => ("/api/jobs/assignments/1/result", Method::POST),
        Route::Cancel => ("/api/jobs/1/cancel", Method::POST),
        Route::Download => ("/api/jobs/1/download", Method::GET),
        Route::DataSpecification => ("/api/admin/data-specification", Method::POST),
        Route::TimeoutJobs => ("/api/admin/timeout-jobs", Method::POST),
        Route::Health | Route::AnyApi | Route::Any => ("/api/", Method::GET),
        Route::ApiOther => ("/api/nowhere", Method::GET),
        Route::S3Put => ("/b/k", Method::PUT),
        Route::S3CreateUpload => ("/b/k?uploads", Method::POST),
        Route::S3UploadPart => ("/b/k?partNumber=1&uploadId=u", Method::PUT),
        Route::S3CompleteUpload => ("/b/k?uploadId=u", Method::POST),
        Route::S3AbortUpload => ("/b/k?uploadId=u", Method::DELETE),
        Route::S3Get => ("/b/k", Method::GET),
        Route::S3Head => ("/b/k", Method::HEAD),
        Route::S3Delete => ("/b/k", Method::DELETE),
        Route::S3List | Route::AnyS3 => ("/b?list-type=2", Method::GET),
        Route::S3Other => ("/", Method::GET),
    }
}

#[tokio::test]
async fn a_request_with_a_swapped_answer_is_handled_but_gets_a_proxys_page() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let faults = session.lab.faults();
    faults.add(Fault::swapped_answer(Route::Assign, 200).times(1));
    let (status, page) = page_of(session.assign(job).await.unwrap()).await;
    assert_eq!(status, 200);
    assert!(page.starts_with("<html>"), "{page}");
    assert_eq!(session.status(job), "IN_PROGRESS");

    let object = || session.s3().put_object().bucket("reefguide-dev").key("k");
    faults.add(Fault::swapped_answer(Route::S3Put, 502).times(1));
    assert!(object().send().await.is_err());
    let head = session.s3().head_object().bucket("reefguide-dev").key("k");
    head.send().await.unwrap();
}

#[tokio::test]
async fn a_redirect_has_its_location_and_the_request_is_not_handled() {
    let mut session = Session::without_races().await;
    session.http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let job = session.submit(1);
    for status in [301, 302, 303, 307, 308] {
        let to = "https://login.example/?from=lab";
        let fault = Fault::redirect(Route::Assign, status, to).times(1);
        session.fault(fault);
        let answer = session.assign(job).await.unwrap();
        assert_eq!(answer.headers()["location"], to);
        assert_eq!(page_of(answer).await.0, status);
    }
    assert_eq!(session.status(job), "PENDING");

    let kind = FaultKind::Redirect {
        status: 308,
        location: None,
    };
    session.fault(Fault::new(Route::Any, kind));
    for server in [session.lab.api_endpoint(), session.lab.s3_endpoint()] {
        let asked = format!("{server}/b/k%20?a=b");
        let answer = session.http.get(&asked).send().await.unwrap();
        assert_eq!(
            answer.headers()["location"],
            asked.replace("http:", "https:")
        );
    }
}

#[tokio::test]
async fn an_invalid_status_or_location_is_refused() {
    let session = Session::without_races().await;
    for (fault, problem) in [
        (
            json!({"route": "any", "kind": "page", "status": 199}),
            "use 200 to 599",
        ),
        (
            json!({"route": "any", "kind": "status", "status": 600}),
            "use 200 to 599",
        ),
        (
            json!({"route": "any", "kind": "swapped-answer", "status": 0}),
            "use 200 to 599",
        ),
        (
            json!({"route": "any", "kind": "redirect", "status": 304}),
            "does not redirect",
        ),
        (
            json!({"route": "any", "kind": "redirect", "status": 302, "location": "a\nb"}),
            "header",
        ),
    ] {
        let refused = session.post("/lab/faults", &fault).await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let text = refused.text().await.unwrap();
        assert!(text.contains(problem), "{text}");
    }
    assert_eq!(session.lab.faults().all().len(), 0);
}

#[tokio::test]
async fn too_many_requests_says_when_to_retry() {
    let session = Session::without_races().await;
    session.fault(Fault::too_many_requests(
        Route::Poll,
        Duration::from_secs(7),
    ));
    let answer = session.get("/api/jobs/poll").await.unwrap();
    assert_eq!(
        (
            answer.status(),
            answer.headers()["retry-after"].to_str().unwrap()
        ),
        (StatusCode::TOO_MANY_REQUESTS, "7")
    );
}

#[tokio::test]
async fn a_delayed_request_is_handled_late() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    session.fault(Fault::delay(Route::Assign, Duration::from_millis(30)));
    assert_eq!(session.assign_status(job).await, StatusCode::OK);
    let record = session.lab.requests().pop().unwrap();
    assert_eq!(
        (record.route, record.fault.as_deref()),
        (Route::Assign, Some("delay of 30 ms"))
    );
    assert!(record.ms >= 30, "{} ms", record.ms);
}

#[tokio::test]
async fn a_request_with_a_lost_answer_is_handled() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    session.fault(Fault::lost_answer(Route::Assign).times(1));
    assert!(session.assign(job).await.is_err());
    assert_eq!(session.status(job), "IN_PROGRESS");
    let record = session.lab.requests().pop().unwrap();
    assert_eq!(
        (record.status, record.fault.as_deref()),
        (None, Some("lost answer"))
    );
}

#[tokio::test]
async fn a_request_that_is_reset_is_not_handled() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    session.fault(Fault::reset(Route::Assign).times(1));
    assert!(session.assign(job).await.is_err());
    assert_eq!(session.status(job), "PENDING");
}

#[tokio::test]
async fn a_reset_reaches_the_client_as_a_reset() {
    let lab = Lab::builder().start().await.unwrap();
    lab.faults().add(Fault::reset(Route::Health));
    let mut connection = RawConnection::to(&lab).await;
    connection.ask().await;
    assert_eq!(
        connection.end().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn a_stale_connection_is_closed_as_its_second_request_arrives() {
    let lab = Lab::builder().start().await.unwrap();
    lab.faults()
        .add(Fault::stale_keep_alive(Route::AnyApi).times(1));
    let mut connection = RawConnection::to(&lab).await;
    connection.ask().await;
    connection.read_to(HEALTHY).await;
    connection.ask().await;
    assert_eq!(connection.end().await.unwrap(), 0);
}

#[tokio::test]
async fn expired_tokens_are_refused_from_that_request_on() {
    let session = Session::without_races().await;
    session.fault(Fault::expire_tokens(Route::Poll).after(1).times(1));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(
            session
                .get("/api/jobs/poll")
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [200, 401, 401]);
}

#[tokio::test]
async fn a_slow_body_is_sent_after_its_head() {
    let lab = Lab::builder().start().await.unwrap();
    lab.faults()
        .add(Fault::slow_body(Route::Health, Duration::from_secs(3600)));
    let mut connection = RawConnection::to(&lab).await;
    connection.ask().await;
    assert!(
        connection
            .read_to("\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    assert!(connection.is_silent());
    lab.faults().clear();
    lab.faults()
        .add(Fault::slow_body(Route::Health, Duration::from_millis(1)));
    let mut connection = RawConnection::to(&lab).await;
    connection.ask().await;
    connection.read_to(HEALTHY).await;
}

#[tokio::test]
async fn s3_has_its_own_error_shape_and_lost_answers() {
    let session = Session::without_races().await;
    let faults = session.lab.faults();
    faults.add(Fault::status(Route::S3Get, 503).times(1));
    let answer = session
        .http
        .get(format!("{}/reefguide-dev/k", session.lab.s3_endpoint()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("<Code>SlowDown</Code>")
    );

    faults.add(Fault::lost_answer(Route::AnyS3).times(1));
    let put = session
        .s3()
        .put_object()
        .bucket("reefguide-dev")
        .key("k")
        .body(ByteStream::from_static(b"x"));
    assert!(put.send().await.is_err());
    session
        .s3()
        .head_object()
        .bucket("reefguide-dev")
        .key("k")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn faults_are_set_and_removed_over_http() {
    let session = Session::without_races().await;
    let fault = json!({ "route": "poll", "kind": "status", "status": 503, "count": 1 });
    let set = session.post("/lab/faults", &fault).await.unwrap();
    assert_eq!(
        (set.status(), json_of(set).await),
        (StatusCode::CREATED, json!({ "id": 1 }))
    );
    assert_eq!(session.get("/api/jobs/poll").await.unwrap().status(), 503);
    assert_eq!(session.get("/api/jobs/poll").await.unwrap().status(), 200);
    let all = json_of(session.get("/lab/faults").await.unwrap()).await;
    assert_eq!(
        all,
        json!([{ "id": 1, "route": "poll", "kind": "status", "status": 503, "count": 1, "skip": 0, "fired": 1 }])
    );

    let wrong = session
        .post(
            "/lab/faults",
            &json!({ "route": "nowhere", "kind": "reset" }),
        )
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(
        wrong
            .text()
            .await
            .unwrap()
            .contains("no route is called `nowhere`")
    );
    let delete = |path: &str| session.http.delete(session.url(path)).send();
    assert_eq!(
        delete("/lab/faults/1").await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        delete("/lab/faults/1").await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        delete("/lab/faults").await.unwrap().status(),
        StatusCode::NO_CONTENT
    );

    let requests = json_of(session.get("/lab/requests").await.unwrap()).await;
    let polls: Vec<_> = requests
        .as_array()
        .unwrap()
        .iter()
        .filter(|request| request["route"] == "poll")
        .collect();
    assert_eq!((polls.len(), &polls[0]["fault"]), (2, &json!("status 503")));
}
