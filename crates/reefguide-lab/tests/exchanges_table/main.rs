//! Replays every recorded exchange against a live lab and compares what it answers with what the real server did.
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod compare;
mod exchange;
mod setup;

use std::path::Path;

use exchange::Exchange;

#[tokio::test]
async fn the_lab_answers_every_recorded_exchange_as_the_real_server_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges");
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 65, "an exchange has come or gone: {files:?}");
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
