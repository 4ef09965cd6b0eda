//! Replays every recorded exchange against a running lab, and compares its responses with the real server's.
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod compare;
mod exchange;
#[path = "../s3_client/mod.rs"]
mod s3_client;
mod setup;

use std::path::Path;

use exchange::Exchange;

#[tokio::test]
async fn the_lab_responds_to_every_recorded_request_as_the_real_server_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges");
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(
        files.len(),
        65,
        "the number of exchanges has changed: {files:?}"
    );
    let http = reqwest::Client::new();
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let exchange = Exchange::parse(&std::fs::read_to_string(&file).unwrap());
        let answer = setup::replay(&http, name, &exchange).await;
        failures.extend(
            compare::differences(&exchange.response, &answer)
                .iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
