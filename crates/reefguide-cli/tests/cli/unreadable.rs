//! One job that cannot be read hides no other.

use reefguide_lab::{Fault, Lab, Route};
use serde_json::json;

use crate::desk::Desk;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_is_named_and_the_others_are_shown() {
    let desk = Desk::with(Lab::builder().any_job_type()).await;
    desk.log_in_as("worker@email.com");
    let deep = (0..110).fold(json!(1), |inner, _| json!([inner]));
    desk.lab.submit("REEF", json!({ "deep": deep })).unwrap();
    desk.lab.submit("REEF", json!({ "id": 2 })).unwrap();
    let named = "job 1 cannot be read: its `input_payload` is nested deeper than 100 levels";
    for (args, exit, shown) in [
        (&["jobs"][..], "exit 0", "2    REEF  PENDING"),
        (&["doctor"], "exit 0", "nothing is stuck"),
        (
            &["doctor", "--pending-after", "0"],
            "exit 1",
            "1 and 1 more",
        ),
    ] {
        let said = desk.said(args);
        assert!(said.starts_with(exit), "{args:?}: {said}");
        assert!(said.contains(named) && said.contains(shown), "{said}");
    }
    let said = desk.said(&["show", "1"]);
    assert!(
        said.contains("payload    cannot be read: its `input_payload`"),
        "{said}"
    );
    let listed = desk.json(&["jobs", "--json"]);
    assert!(listed["jobs"][1]["unreadable"].is_string(), "{listed}");
    assert!(listed["jobs"][0].get("unreadable").is_none(), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_error_with_the_address_to_write() {
    let desk = Desk::logged_in().await;
    let to = "https://reefguide.example/api/jobs";
    desk.lab.faults().add(Fault::redirect(Route::List, 307, to));
    let said = desk.said(&["jobs"]);
    let remedy = "the API redirects to https://reefguide.example: write that";
    assert!(
        said.starts_with("exit 69") && said.contains(remedy),
        "{said}"
    );
}
