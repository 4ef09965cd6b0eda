//! Jobs and answers that cannot be read.

use reefguide_lab::{Fault, Lab, Route};
use serde_json::json;

use crate::fixture::CliFixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_is_named_and_the_others_are_shown() {
    let cli = CliFixture::with(Lab::builder().any_job_type()).await;
    cli.log_in_as("worker@email.com");
    let deep = (0..110).fold(json!(1), |inner, _| json!([inner]));
    cli.lab.submit("REEF", json!({ "deep": deep })).unwrap();
    cli.lab.submit("REEF", json!({ "id": 2 })).unwrap();
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
        let printed = cli.run(args);
        assert!(printed.starts_with(exit), "{args:?}: {printed}");
        assert!(
            printed.contains(named) && printed.contains(shown),
            "{printed}"
        );
    }
    let printed = cli.run(&["show", "1"]);
    assert!(
        printed.contains("payload    cannot be read: its `input_payload`"),
        "{printed}"
    );
    let listed = cli.json(&["jobs", "--json"]);
    assert!(listed["jobs"][1]["unreadable"].is_string(), "{listed}");
    assert!(listed["jobs"][0].get("unreadable").is_none(), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_error_that_names_the_right_address() {
    let cli = CliFixture::logged_in().await;
    let to = "https://reefguide.example/api/jobs";
    cli.lab.faults().add(Fault::redirect(Route::List, 307, to));
    let printed = cli.run(&["jobs"]);
    let remedy = "the API redirects to https://reefguide.example: write that";
    assert!(
        printed.starts_with("exit 69") && printed.contains(remedy),
        "{printed}"
    );
}
