//! Tests of logins, tokens and roles.

use std::time::Duration;

use reefguide_lab::Lab;
use reqwest::StatusCode;
use serde_json::json;

use crate::session::{Session, json_of};

#[tokio::test]
async fn the_sixth_login_of_an_address_is_refused_though_all_were_successful() {
    let session = Session::without_races().await;
    for email in [
        "user@email.com",
        "default@email.com",
        " Worker@Email.com ",
        "worker@email.com",
    ] {
        assert_eq!(session.login_status(email).await, StatusCode::OK, "{email}");
    }
    assert_eq!(
        session.login_status("worker@email.com").await,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn a_new_window_allows_new_logins() {
    let session = Session::with(Lab::builder().login_limit(1).login_window(Duration::ZERO)).await;
    assert_eq!(
        session.login_status("worker@email.com").await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn expired_tokens_get_a_plain_401_and_can_be_refreshed() {
    let mut session = Session::without_races().await;
    session.lab.expire_tokens();
    let refused = session.get("/api/jobs/poll").await.unwrap();
    assert_eq!(
        (refused.status(), refused.text().await.unwrap()),
        (StatusCode::UNAUTHORIZED, "Unauthorized".into())
    );
    let answer = session
        .post(
            "/api/auth/token",
            &json!({ "refreshToken": session.refresh_token }),
        )
        .await
        .unwrap();
    let answer = json_of(answer).await;
    assert_eq!(
        answer.as_object().unwrap().len(),
        1,
        "there is no new refresh token"
    );
    session.token = answer["token"].as_str().unwrap().to_owned();
    assert_eq!(
        session.get("/api/jobs/poll").await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_analyst_can_use_any_job_but_lists_only_its_own_and_no_admin_route() {
    let analyst = Session::of(Lab::builder().start().await.unwrap(), "user@email.com").await;
    let job = analyst.submit(1);
    assert_eq!(analyst.assign(job).await.unwrap().status(), 200);
    assert_eq!(
        analyst
            .get(&format!("/api/jobs/{job}"))
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        json_of(analyst.get("/api/jobs").await.unwrap()).await["total"],
        0
    );
    assert_eq!(
        analyst.get("/api/jobs?userId=2").await.unwrap().status(),
        401
    );
    let refused = analyst
        .post(
            "/api/admin/timeout-jobs",
            &json!({ "timeoutThresholdMinutes": 1 }),
        )
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        json_of(refused).await["message"],
        "You are not authorised to access this service."
    );
}

#[tokio::test]
async fn admin_routes_check_the_account_before_the_body() {
    let mut session = Session::without_races().await;
    let invalid = json!({ "timeoutThresholdMinutes": 0 });
    assert_eq!(
        session
            .post("/api/admin/timeout-jobs", &invalid)
            .await
            .unwrap()
            .status(),
        400
    );
    session.token.clear();
    assert_eq!(
        session
            .post("/api/admin/timeout-jobs", &invalid)
            .await
            .unwrap()
            .status(),
        401
    );
}
