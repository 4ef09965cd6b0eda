//! A proxy between worker and API answers in place of the API, with a page or a redirect. No work is lost.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{Fault, JobTypeSpec, Lab, RequestRecord, Route};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::StopReason;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fixture::{Doomed, Fixture, Log, Running, in_time};

/// The target of redirects, where nothing listens.
const ELSEWHERE: &str = "https://login.example/sign-in";

/// Every answer of a proxy on a route, `times` times each.
fn all(route: Route, times: u64) -> Vec<Fault> {
    [200, 204, 302, 400, 401, 403, 404, 410, 429]
        .into_iter()
        .map(|status| Fault::page(route, status))
        .chain([301, 302, 303, 307, 308].map(|status| Fault::redirect(route, status, ELSEWHERE)))
        .map(|fault| fault.times(times))
        .collect()
}

fn struck(lab: &Lab, route: Route) -> usize {
    let requests = lab.requests();
    let struck = |r: &&RequestRecord| r.route == route && r.fault.is_some();
    requests.iter().filter(struck).count()
}

fn storing(fixture: &Fixture) -> Running {
    let worker = fixture.worker();
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("a.txt", "a").await?;
        Ok(())
    });
    Running::start(worker)
}

#[tokio::test]
async fn a_result_that_a_page_of_a_proxy_answered_is_kept_and_delivered_again() {
    let mut faults = all(Route::Result, 1);
    // The API took it, although the page says otherwise.
    faults.extend(
        [200, 400, 404].map(|status| Fault::swapped_answer(Route::Result, status).times(1)),
    );
    let fixture = Fixture::start().await;
    for (nth, fault) in (0..).zip(faults) {
        let shown = format!("{fault:?}");
        fixture.lab.faults().add(fault);
        let job = fixture.submit_test(nth);
        let worker = storing(&fixture);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED", "{shown}");
        let stopped = worker.stop().await;
        assert_eq!(
            (
                stopped.jobs.succeeded,
                stopped.jobs.failed,
                stopped.jobs.undelivered
            ),
            (1, 0, 0),
            "{shown}"
        );
        assert_eq!(fixture.outputs(job).await, ["a.txt"], "{shown}");
        assert_eq!(fixture.unresolved().await, 0, "{shown}");
        assert_eq!(
            struck(&fixture.lab, Route::Result),
            usize::try_from(nth).unwrap() + 1
        );
    }
}

#[tokio::test]
async fn a_claim_is_not_dropped_when_reading_it_back_gets_a_page_of_a_proxy() {
    let fixture = Fixture::start().await;
    for route in [Route::Job, Route::Assign] {
        for (nth, fault) in (0..).zip(all(route, 1)) {
            let shown = format!("{route} {fault:?}");
            fixture.lab.faults().add(fault);
            let job = fixture.submit(
                "TEST",
                json!({ "id": nth + 100 * i64::from(route == Route::Assign) }),
            );
            let mut options = fixture.options();
            options.watch_interval = None;
            let worker = fixture.worker().options(options);
            let worker = worker.handler_fn("TEST", |_: Value, _| async { Ok(()) });
            let worker = Running::start(worker);
            assert_eq!(fixture.ended(job).await, "SUCCEEDED", "{shown}");
            worker.stop().await;
            let assignments = fixture.lab.job(job).unwrap()["assignments"].clone();
            assert_eq!(assignments.as_array().unwrap().len(), 1, "{shown}");
            assert_eq!(fixture.unresolved().await, 0, "{shown}");
        }
    }
}

#[tokio::test]
async fn a_running_job_is_not_given_up_because_of_a_page_of_a_proxy() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let started = Arc::new(Semaphore::new(0));
    let let_go = Arc::new(Semaphore::new(0));
    let mut options = fixture.options();
    options.watch_interval = Some(Duration::from_millis(10));
    let handler = {
        let (started, let_go) = (started.clone(), let_go.clone());
        move |_: Value, _: JobContext| {
            let (started, let_go) = (started.clone(), let_go.clone());
            async move {
                started.add_permits(1);
                let_go.acquire().await?.forget();
                Ok(())
            }
        }
    };
    let worker = fixture.worker().options(options);
    let worker = Running::start(worker.handler_fn("TEST", handler));
    in_time(started.acquire()).await.unwrap().forget();
    let faults = all(Route::Job, 2);
    let expected = 2 * faults.len();
    for fault in faults {
        fixture.lab.faults().add(fault);
    }
    in_time(
        fixture
            .lab
            .wait_until(|lab| struck(lab, Route::Job) >= expected),
    )
    .await;
    let_go.add_permits(1);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.succeeded, stopped.jobs.given_up), (1, 0));
}

#[tokio::test]
async fn a_recorded_success_is_not_dropped_because_of_a_page_of_a_proxy() {
    for fault in [
        Fault::page(Route::Job, 404).times(3),
        Fault::page(Route::Job, 200).times(3),
        Fault::redirect(Route::Job, 302, ELSEWHERE).times(3),
    ] {
        let fixture = Fixture::start().await;
        let job = fixture.submit_test(1);
        let outage = fixture.lab.faults().add(Fault::status(Route::Result, 503));
        let mut options = fixture.options();
        options.record_interval = Duration::from_millis(100);
        options.watch_interval = None;
        let worker = || async {
            let worker = fixture.worker().options(options.clone());
            worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
                ctx.outputs().write("a.txt", "a").await?;
                Ok(())
            })
        };
        let doomed = Doomed::start(worker().await);
        in_time(fixture.lab.wait_until(|lab| struck(lab, Route::Result) > 0)).await;
        doomed.kill();
        fixture.lab.faults().add(fault);
        fixture.lab.faults().remove(outage);
        let worker = Running::start(worker().await);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
        worker.stop().await;
        assert_eq!(struck(&fixture.lab, Route::Job), 3);
        assert_eq!(fixture.outputs(job).await, ["a.txt"]);
        assert_eq!(fixture.unresolved().await, 0);
    }
}

#[tokio::test]
async fn a_worker_survives_pages_of_a_proxy_at_login_and_polls() {
    for route in [Route::Login, Route::Poll] {
        for fault in [
            Fault::page(route, 200),
            Fault::page(route, 401),
            Fault::page(route, 403),
            Fault::page(route, 404),
            Fault::redirect(route, 307, ELSEWHERE),
        ] {
            let fixture = Fixture::start().await;
            fixture.lab.faults().add(fault.times(1));
            let job = fixture.submit_test(1);
            let worker = storing(&fixture);
            assert_eq!(fixture.ended(job).await, "SUCCEEDED");
            worker.stop().await;
        }
    }
}

#[tokio::test]
async fn a_worker_that_gets_only_pages_of_a_proxy_does_not_stop_as_idle() {
    let fixture = Fixture::start().await;
    fixture.submit_test(1);
    fixture.lab.faults().add(Fault::page(Route::Poll, 200));
    let mut options = fixture.options();
    options.idle_timeout = Some(Duration::from_millis(300));
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", |_: Value, _| async { Ok(()) });
    let stopped = Running::start(worker).stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Unreachable(_)),
        "{}",
        stopped.reason
    );
}

#[tokio::test]
async fn a_job_that_cannot_be_read_fails_with_the_reason_and_other_jobs_run() {
    let fixture = Fixture::with(Lab::builder().job_type(JobTypeSpec::new("ANY"))).await;
    let log = Log::new();
    let deep = (0..110).fold(json!(1), |inner, _| json!([inner]));
    let unreadable = fixture.submit("ANY", json!({ "deep": deep }));
    let jobs: Vec<_> = (0..3)
        .map(|id| fixture.submit("ANY", json!({ "id": id })))
        .collect();
    let mut options = fixture.options();
    options.idle_timeout = Some(Duration::from_millis(300));
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("ANY", |payload: Value, _| async move {
        assert!(payload["id"].is_number(), "{payload}");
        Ok(())
    });
    let stopped = Running::start(worker).stopped().await;
    assert!(matches!(stopped.reason, StopReason::Idle(_)));
    for job in jobs {
        assert_eq!(fixture.status(job), "SUCCEEDED");
    }
    assert_eq!(fixture.status(unreadable), "FAILED");
    assert_eq!((stopped.jobs.succeeded, stopped.jobs.failed), (3, 1));
    let lines = log.lines("nested deeper than 100 levels");
    assert!(
        lines.iter().any(|line| line.contains("job failed")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_result_that_the_api_does_not_check_fails_the_job_before_anything_is_stored() {
    for (result, named) in [
        (json!(false), "`false`"),
        (json!(0), "`0`"),
        (json!(-0.0), "`-0.0`"),
        // Quoted twice, because the reason is a string in JSON.
        (json!(""), r#"`\"\"`"#),
    ] {
        let fixture = Fixture::start().await;
        let log = Log::new();
        let job = fixture.submit_test(1);
        let worker = fixture.worker();
        let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
            let result = result.clone();
            async move {
                ctx.outputs().write("a.txt", "a").await?;
                Ok(result)
            }
        });
        let worker = Running::start(worker);
        assert_eq!(fixture.ended(job).await, "FAILED");
        worker.stop().await;
        assert!(fixture.outputs(job).await.is_empty());
        let remedy = format!("the API does not check {named}: return an object");
        assert!(!log.lines(&remedy).is_empty(), "{remedy}");
    }
}

#[tokio::test]
async fn a_float_that_json_cannot_represent_fails_the_job_with_its_path() {
    #[derive(Serialize, JsonSchema)]
    struct Zone {
        mean: Option<f32>,
    }
    let fixture = Fixture::start().await;
    let log = Log::new();
    let job = fixture.submit_test(1);
    let worker = fixture.worker();
    let worker = worker.handler_fn("TEST", |_: Value, _| async {
        let zones = [Some(1.0), None, Some(f32::NAN)].map(|mean| Zone { mean });
        Ok(std::collections::BTreeMap::from([("zones", zones)]))
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
    assert!(!log.lines("result at `zones[2].mean` is NaN").is_empty());
}
