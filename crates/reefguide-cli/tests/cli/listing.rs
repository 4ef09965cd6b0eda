use serde_json::json;

use crate::fixture::{CliFixture, FILTERS};
use reefguide_lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_listed_shown_and_cancelled() {
    let cli = CliFixture::logged_in().await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("submit", cli.run(&["submit", "TEST", "--input", r#"{"id": 1}"#]));
        insta::assert_snapshot!("submit_equal", cli.run(&["submit", "TEST", "--input", r#"{"id": 1}"#]));
        insta::assert_snapshot!("jobs", cli.run(&["jobs", "--status", "pending"]));
        insta::assert_snapshot!("show", cli.run(&["show", "1"]));
        insta::assert_snapshot!("cancel", cli.run(&["cancel", "1"]));
        insta::assert_snapshot!("cancel_again", cli.run(&["cancel", "1"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_job_is_shown_with_its_worker_lease_and_result() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[]).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("show_done", cli.run(&["show", &job]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_what_programs_need() {
    let cli = CliFixture::logged_in().await;
    let created = cli.json(&["submit", "TEST", "--json", "--input", r#"{"id": 7}"#]);
    assert_eq!(created["jobId"], 1);
    assert_eq!(cli.json(&["show", "1", "--json"])["input_payload"]["id"], 7);
    assert_eq!(cli.json(&["jobs", "--mine", "--json"])["total"], 1);
    assert_eq!(cli.json(&["cancel", "1", "--json"])["status"], "CANCELLED");
}

/// The ids of a listing.
fn ids(cli: &CliFixture, args: &[&str]) -> Vec<i64> {
    let listed = cli.json(&[&["jobs", "--json"], args].concat());
    let jobs = listed["jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_status_type_and_owner_newest_first() {
    let cli = CliFixture::with(Lab::builder().any_job_type()).await;
    cli.log_in_as("worker@email.com");
    cli.lab.submit("TEST", json!({ "id": 1 })).unwrap();
    cli.lab.submit("REEF", json!({})).unwrap();
    cli.lab.submit("TEST", json!({ "id": 2 })).unwrap();
    cli.reefguide(&["cancel", "1"]).assert().success();
    assert_eq!(ids(&cli, &[]), [3, 2, 1]);
    assert_eq!(ids(&cli, &["--type", "TEST"]), [3, 1]);
    assert_eq!(ids(&cli, &["--type", "TEST", "--status", "cancelled"]), [1]);
    assert_eq!(ids(&cli, &["--limit", "2"]), [3, 2]);
    assert_eq!(ids(&cli, &["--user", "1"]), [0; 0]);
    assert_eq!(ids(&cli, &["--user", "2", "--status", "PENDING"]), [3, 2]);
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("jobs_limited", cli.run(&["jobs", "--limit", "1"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn more_jobs_than_the_api_lists_at_once_are_asked_for_by_status() {
    let cli = CliFixture::logged_in().await;
    cli.log_in_as("worker@email.com");
    for id in 0..53 {
        cli.lab.submit("TEST", json!({ "id": id })).unwrap();
    }
    cli.reefguide(&["cancel", "1", "2"]).assert().success();
    assert_eq!(ids(&cli, &["--all"]).len(), 52);
    assert_eq!(ids(&cli, &[]).len(), 50);
    assert_eq!(ids(&cli, &["--all"])[51], 1);
    let printed = cli.run(&["jobs"]);
    let end: Vec<_> = printed.lines().skip(52).collect();
    assert_eq!(
        end,
        [
            "(2 more; --all shows them)",
            "(1 more that the API does not list)"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_what_is_wrong() {
    let cli = CliFixture::logged_in().await;
    insta::assert_snapshot!("no_such_job", cli.run(&["show", "99"]));
    insta::assert_snapshot!("no_such_status", cli.run(&["jobs", "--status", "done"]));
    insta::assert_snapshot!(
        "refused_payload",
        cli.run(&["submit", "TEST", "--input", "{}"])
    );
    insta::assert_snapshot!("unknown_type", cli.run(&["submit", "NOPE"]));
    insta::assert_snapshot!(
        "broken_payload",
        cli.run(&["submit", "TEST", "--input", "{"])
    );
    insta::assert_snapshot!(
        "no_such_file",
        cli.run(&["submit", "TEST", "--input", "none.json"])
    );
}
