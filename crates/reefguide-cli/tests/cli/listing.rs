use serde_json::json;

use crate::desk::{Desk, FILTERS};
use reefguide_lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_listed_shown_and_cancelled() {
    let desk = Desk::logged_in().await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("submit", desk.said(&["submit", "TEST", "--input", r#"{"id": 1}"#]));
        insta::assert_snapshot!("submit_equal", desk.said(&["submit", "TEST", "--input", r#"{"id": 1}"#]));
        insta::assert_snapshot!("jobs", desk.said(&["jobs", "--status", "pending"]));
        insta::assert_snapshot!("show", desk.said(&["show", "1"]));
        insta::assert_snapshot!("cancel", desk.said(&["cancel", "1"]));
        insta::assert_snapshot!("cancel_again", desk.said(&["cancel", "1"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_job_is_shown_with_its_worker_lease_and_result() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[]).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("show_done", desk.said(&["show", &job]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_for_programs() {
    let desk = Desk::logged_in().await;
    let created = desk.json(&["submit", "TEST", "--json", "--input", r#"{"id": 7}"#]);
    assert_eq!(created["jobId"], 1);
    assert_eq!(
        desk.json(&["show", "1", "--json"])["input_payload"]["id"],
        7
    );
    assert_eq!(desk.json(&["jobs", "--mine", "--json"])["total"], 1);
    assert_eq!(desk.json(&["cancel", "1", "--json"])["status"], "CANCELLED");
}

/// The ids of a listing.
fn ids(desk: &Desk, args: &[&str]) -> Vec<i64> {
    let listed = desk.json(&[&["jobs", "--json"], args].concat());
    let jobs = listed["jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_status_type_and_owner_the_newest_first() {
    let desk = Desk::with(Lab::builder().any_job_type()).await;
    desk.log_in_as("worker@email.com");
    desk.lab.submit("TEST", json!({ "id": 1 })).unwrap();
    desk.lab.submit("REEF", json!({})).unwrap();
    desk.lab.submit("TEST", json!({ "id": 2 })).unwrap();
    desk.reefguide(&["cancel", "1"]).assert().success();
    assert_eq!(ids(&desk, &[]), [3, 2, 1]);
    assert_eq!(ids(&desk, &["--type", "TEST"]), [3, 1]);
    assert_eq!(
        ids(&desk, &["--type", "TEST", "--status", "cancelled"]),
        [1]
    );
    assert_eq!(ids(&desk, &["--limit", "2"]), [3, 2]);
    assert_eq!(ids(&desk, &["--user", "1"]), [0; 0]);
    assert_eq!(ids(&desk, &["--user", "2", "--status", "PENDING"]), [3, 2]);
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("jobs_limited", desk.said(&["jobs", "--limit", "1"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn more_jobs_than_the_api_lists_at_once_are_asked_for_by_status() {
    let desk = Desk::logged_in().await;
    desk.log_in_as("worker@email.com");
    for id in 0..53 {
        desk.lab.submit("TEST", json!({ "id": id })).unwrap();
    }
    desk.reefguide(&["cancel", "1", "2"]).assert().success();
    assert_eq!(ids(&desk, &["--all"]).len(), 52);
    assert_eq!(ids(&desk, &[]).len(), 50);
    assert_eq!(ids(&desk, &["--all"])[51], 1);
    let said = desk.said(&["jobs"]);
    let end: Vec<_> = said.lines().skip(52).collect();
    assert_eq!(
        end,
        [
            "(2 more; --all shows them)",
            "(1 more, which the API does not list)"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let desk = Desk::logged_in().await;
    insta::assert_snapshot!("no_such_job", desk.said(&["show", "99"]));
    insta::assert_snapshot!("no_such_status", desk.said(&["jobs", "--status", "done"]));
    insta::assert_snapshot!(
        "refused_payload",
        desk.said(&["submit", "TEST", "--input", "{}"])
    );
    insta::assert_snapshot!("unknown_type", desk.said(&["submit", "NOPE"]));
    insta::assert_snapshot!(
        "broken_payload",
        desk.said(&["submit", "TEST", "--input", "{"])
    );
    insta::assert_snapshot!(
        "no_such_file",
        desk.said(&["submit", "TEST", "--input", "none.json"])
    );
}
