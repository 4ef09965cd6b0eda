//! When a worker counts as healthy and ready, on a clock that the tests move.

use std::time::Duration;

use reefguide_client::TokenObserver;
use tokio::time::{Instant, advance};

use reefguide_worker::observe::health::{Health, LIMIT, Phase, STALL_LIMIT};

/// How long an answer of the API may take beyond the time between two calls.
const ANSWER_TIME: Duration = Duration::from_millis(12_500);

const MOMENT: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn working(max_jobs: usize) -> Health {
    let health = Health::new(max_jobs);
    health.enter(Phase::Working);
    health
}

fn state(health: &Health) -> String {
    let reason = health.report().unhealthy_reason;
    reason.map_or_else(|| "healthy".to_owned(), |reason| reason.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_stuck_poll_loop_is_unhealthy_although_the_api_answers() {
    let health = working(1);
    advance(LIMIT).await;
    health.contact();
    assert_eq!(state(&health), "healthy");
    advance(MOMENT).await;
    assert_eq!(
        state(&health),
        "the poll loop has made no progress for 50 s (limit 50 s)"
    );
    health.polled();
    assert_eq!(state(&health), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_poll_loop_without_contact_is_unhealthy_within_a_minute() {
    let health = working(1);
    health.contact();
    advance(MINUTE).await;
    health.polled();
    assert_eq!(
        state(&health),
        "the API has not answered as it should for 60 s (limit 50 s)"
    );
    health.contact();
    assert_eq!(state(&health), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_no_free_slot_need_not_poll_but_needs_answers_about_its_jobs() {
    let health = working(1);
    health.job_started();
    for _ in 0..10 {
        advance(LIMIT).await;
        assert_eq!(state(&health), "healthy");
        health.contact();
    }
    advance(LIMIT + MOMENT).await;
    assert!(state(&health).starts_with("the API"), "{}", state(&health));
    health.job_ended();
    assert_eq!(state(&health), "healthy", "the limits start again");
    advance(LIMIT + MOMENT).await;
    assert_ne!(state(&health), "healthy");
}

#[tokio::test(start_paused = true)]
async fn an_unwatched_job_needs_no_contact_until_it_is_delivered() {
    let health = working(1);
    health.set_intervals(MOMENT, None);
    health.renewed(Instant::now(), Instant::now() + MINUTE);
    health.job_started();
    advance(MINUTE * 60).await;
    assert_eq!(state(&health), "healthy");
    health.delivery_started();
    assert_eq!(state(&health), "healthy");
    advance(LIMIT + MOMENT).await;
    assert_ne!(state(&health), "healthy");
    health.delivery_ended();
    assert_eq!(state(&health), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_long_intervals_may_wait_longer() {
    let health = working(1);
    health.set_intervals(MINUTE, Some(MINUTE * 4));
    advance(MINUTE + ANSWER_TIME).await;
    assert_eq!(state(&health), "healthy");
    advance(MOMENT).await;
    assert_ne!(state(&health), "healthy");
    health.contact();
    health.job_started();
    advance(MINUTE * 5 + ANSWER_TIME).await;
    assert_eq!(state(&health), "healthy");
    advance(MOMENT).await;
    assert_ne!(state(&health), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_free_slot_beside_a_running_job_must_be_polled_for() {
    let health = working(2);
    health.job_started();
    advance(LIMIT + MOMENT).await;
    health.contact();
    assert!(state(&health).starts_with("the poll loop"));
}

#[tokio::test(start_paused = true)]
async fn only_the_time_of_an_excused_pause_does_not_count() {
    let health = working(1);
    let pause = Duration::from_secs(900);
    health.excuse_pause(pause);
    health.excuse_pause(pause / 2);
    advance(pause + LIMIT).await;
    assert_eq!(state(&health), "healthy");
    advance(MOMENT).await;
    assert_ne!(state(&health), "healthy");
    health.contact();
    health.polled();
    advance(LIMIT + MOMENT).await;
    assert_ne!(state(&health), "healthy");
}

#[tokio::test(start_paused = true)]
async fn short_pauses_that_the_api_asks_for_again_and_again_are_not_excused_forever() {
    let health = working(1);
    for _ in 0..60 {
        health.polled();
        health.excuse_pause(Duration::from_millis(100));
        advance(Duration::from_secs(1)).await;
    }
    assert!(state(&health).starts_with("the API"), "{}", state(&health));
}

#[tokio::test(start_paused = true)]
async fn a_start_without_an_answer_is_unhealthy_and_names_whose_answer_is_missing() {
    let health = Health::new(1);
    advance(LIMIT + MOMENT).await;
    assert!(state(&health).starts_with("the API"), "{}", state(&health));
    health.enter(Phase::FindingBucket);
    assert_eq!(state(&health), "healthy");
    advance(LIMIT + MOMENT).await;
    assert!(
        state(&health).starts_with("the bucket"),
        "{}",
        state(&health)
    );
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_reported_instead_of_the_missing_contact_that_follows() {
    let health = working(1);
    health.renewed(Instant::now(), Instant::now() + MINUTE);
    advance(MINUTE * 2).await;
    health.polled();
    assert!(state(&health).starts_with("the access token"));
    let token = health.report().token.unwrap();
    let life = (token.age, token.left, token.ended);
    assert_eq!(life, (MINUTE * 2, Duration::ZERO, Some(MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_start_jobs_is_not_ready_and_unhealthy_unless_one_runs() {
    let health = working(2);
    let reason = || Some("the disk is full".to_owned());
    health.set_blocked(reason());
    assert_eq!(health.report().unready(), reason());
    health.job_started();
    for _ in 0..3 {
        advance(LIMIT).await;
        health.contact();
        health.set_blocked(reason());
    }
    assert_eq!(state(&health), "healthy");
    assert_eq!(health.report().unready(), reason());
    health.job_ended();
    advance(LIMIT + MOMENT).await;
    assert_eq!(
        health.report().unhealthy().unwrap(),
        "no job can be started for 50 s (limit 50 s): the disk is full"
    );
    health.set_blocked(None);
    assert_eq!(state(&health), "healthy");
    assert_eq!(health.report().unready(), None);
}

#[tokio::test(start_paused = true)]
async fn only_a_healthy_worker_that_claims_jobs_is_ready() {
    let health = Health::new(1);
    assert!(health.report().unready().unwrap().starts_with("starting"));
    health.enter(Phase::Working);
    health.job_started();
    assert_eq!(health.report().unready(), None, "also with no slot free");
    health.stalled(Some(STALL_LIMIT));
    assert!(health.report().unready().unwrap().contains("async threads"));
    health.stalled(None);
    health.enter(Phase::Stopping);
    assert!(health.report().unready().unwrap().starts_with("stopping"));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_worker_need_not_poll() {
    let health = working(2);
    health.job_started();
    health.enter(Phase::Stopping);
    advance(LIMIT).await;
    health.contact();
    advance(LIMIT).await;
    assert_eq!(state(&health), "healthy");
    health.job_ended();
    advance(LIMIT * 2).await;
    assert_eq!(state(&health), "healthy");
}
