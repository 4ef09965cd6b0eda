//! `reefguide-lab submit`.

use reefguide_lab::Lab;
use serde_json::{Value, json};

use crate::lab_process::{LabProcess, run};

#[tokio::test]
async fn a_job_is_submitted_once_and_watched_until_it_ends() {
    let lab = Lab::builder().any_job_type().start().await.unwrap();
    let endpoint = lab.api_endpoint().to_owned();
    let submit = |input: &'static str, watch: bool| {
        let endpoint = endpoint.clone();
        let arguments = ["submit", "COUNT", "--lab", &endpoint, "--input", input];
        let watch = watch.then_some("--watch");
        let arguments: Vec<String> = arguments.into_iter().chain(watch).map(Into::into).collect();
        tokio::task::spawn_blocking(move || {
            run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let submitted = submit(r#"{"reef": 1}"#, false).await.unwrap();
    assert_eq!(submitted, (true, "job 1 is submitted".to_owned()));
    assert_eq!(lab.job(1).unwrap()["input_payload"], json!({ "reef": 1 }));

    let watching = submit(r#"{"reef": 1}"#, true);
    let client = reqwest::Client::new();
    let account = json!({ "email": "worker@email.com", "password": "password" });
    let login = client.post(format!("{endpoint}/api/auth/login"));
    let login: Value = login
        .json(&account)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let cancel = client.post(format!("{endpoint}/api/jobs/1/cancel"));
    let cancel = cancel.bearer_auth(login["token"].as_str().unwrap());
    assert!(cancel.send().await.unwrap().status().is_success());
    let (succeeded, shown) = watching.await.unwrap();
    assert!(!succeeded);
    let (first, job) = shown.split_once('\n').unwrap();
    assert_eq!(
        first,
        "job 1 has the same type and payload: the API does not create a second one"
    );
    let job: Value = serde_json::from_str(job).unwrap();
    assert_eq!(job["status"], "CANCELLED");
}

#[tokio::test]
async fn files_are_read_in_the_encodings_that_editors_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let marked = file("marked.json", b"\xef\xbb\xbf{\r\n}\r\n");
    let utf16 = file("utf16.json", b"\xff\xfe{\0}\0");
    let latin = file("latin.json", b"{\"reef\": \"\xe9\"}");
    let mut lab = LabProcess::start(&["--schema", &format!("COUNT={marked}")]);
    let submit = |input: &str| run(&["submit", "COUNT", "--input", input, "--lab", &lab.endpoint]);
    assert_eq!(submit(&marked), (true, "job 1 is submitted".to_owned()));
    let refused = |(succeeded, output): (bool, String), problem: &str| {
        assert!(!succeeded && output.ends_with(problem), "{output}");
    };
    refused(submit(&utf16), ": it is UTF-16: save it as UTF-8");
    refused(submit(&latin), ": it is not UTF-8: save it as UTF-8");
    let schema = format!("COUNT={utf16}");
    let ports = ["up", "--port", "0", "--s3-port", "0", "--schema", &schema];
    refused(run(&ports), ": it is UTF-16: save it as UTF-8");
    assert!(lab.stop("TERM"));
}
