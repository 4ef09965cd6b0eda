//! The table of exit codes in the book, and what the commands do.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_storage::StorageUri;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::desk::{Desk, until};

/// A command that asks the API, the route by which it does, and whether it waits for an API that is in trouble.
const COMMANDS: [(&[&str], Route, bool); 9] = [
    (
        &["login", "--email", "worker@email.com"],
        Route::Login,
        false,
    ),
    (
        &["submit", "TEST", "--input", "{\"id\": 7}"],
        Route::Create,
        false,
    ),
    (
        &["submit", "TEST", "--batch", "batch.jsonl"],
        Route::Create,
        true,
    ),
    (&["jobs"], Route::List, false),
    (&["show", "1"], Route::Job, false),
    (&["watch", "1"], Route::Job, true),
    (&["cancel", "2"], Route::Cancel, false),
    (
        &["download", "1", "--to", "out", "--force"],
        Route::Download,
        false,
    ),
    (&["doctor"], Route::List, false),
];

async fn desk() -> Desk {
    let desk = Desk::new().await;
    desk.log_in_as("worker@email.com");
    desk.done(&[("a.json", b"{}".to_vec())]).await;
    desk.lab.submit("TEST", json!({ "id": 2 })).unwrap();
    desk.write("batch.jsonl", "{\"id\": 8}\n");
    desk
}

fn process(desk: &Desk, args: &[&str]) -> Command {
    let mut command = desk.process(args);
    command
        .env("API_ENDPOINT", desk.lab.api_endpoint())
        .env("REEFGUIDE_PASSWORD", "password");
    command
}

/// Runs a command that is to fail: with this code, an answer on stderr alone, and under `--json` as JSON.
fn fails(desk: &Desk, args: &[&str], code: i32) {
    for json in [None, Some("--json")] {
        let args: Vec<_> = args.iter().copied().chain(json).collect();
        let output = process(desk, &args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{args:?}");
        match json {
            // Without a command it is the help.
            None => assert!(
                said.contains("error: ") || args.is_empty(),
                "{args:?}: {said}"
            ),
            Some(_) => {
                let lines = said.lines().map(serde_json::from_str::<Value>);
                let last = lines.map(Result::unwrap).next_back().unwrap();
                assert_eq!(last["exitCode"], code, "{args:?}: {said}");
                assert!(last["error"].is_string(), "{args:?}: {said}");
            }
        }
    }
}

/// Runs a command that waits while there is trouble, until it says so.
fn waits(desk: &Desk, args: &[&str]) {
    let mut process = process(desk, args);
    let mut child = process
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("(waiting "), "{args:?}: {line}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_tells_each_kind_of_failure_by_its_exit_code() {
    let desk = desk().await;
    let elsewhere = "http://127.0.0.1:1/portal";
    for (args, route, patient) in COMMANDS {
        let trouble = [
            Fault::status(route, 503),
            Fault::too_many_requests(route, Duration::from_secs(7)),
            Fault::page(route, 502),
            Fault::page(route, 403),
            Fault::page(route, 200),
            Fault::page(route, 404),
            Fault::redirect(route, 302, elsewhere),
            Fault::redirect(route, 308, elsewhere),
            Fault::reset(route),
        ];
        for fault in trouble {
            desk.lab.faults().add(fault.clone());
            match patient {
                false => fails(&desk, args, 69),
                true => waits(&desk, args),
            }
            assert!(desk.lab.faults().fired() > 0, "{args:?}: {fault:?}");
            desk.lab.faults().clear();
        }
        for (status, code) in [(400, 1), (401, 77), (403, 77), (404, 1)] {
            // A login has no job to be refused.
            if args[0] != "login" || code == 77 {
                desk.lab.faults().add(Fault::status(route, status));
                fails(&desk, args, code);
                desk.lab.faults().clear();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_and_a_missing_session_do_nothing() {
    let desk = desk().await;
    let before = desk.lab.requests().len();
    for (args, ..) in COMMANDS {
        fails(&desk, &[args, &["--nonsense"]].concat(), 2);
    }
    fails(&desk, &[], 2);
    fails(&desk, &["show", "0"], 2);
    fails(&desk, &["submit", "TEST", "--input", "none.json"], 2);
    fails(
        &desk,
        &["submit", "TEST", "--input", "{\"a\": \"\\u0000\"}"],
        2,
    );
    fails(&desk, &["submit", "TEST", "--batch", "none.jsonl"], 2);
    fails(&desk, &["schema", "diff", "none", "--expected", "none"], 2);
    fails(&desk, &["doctor", "--without-record"], 2);
    std::fs::remove_file(desk.path("session.json")).unwrap();
    for (args, ..) in COMMANDS {
        if args[0] != "login" {
            fails(&desk, args, 77);
        }
    }
    assert_eq!(desk.lab.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_is_told_with_its_remedy() {
    let desk = desk().await;
    let host = desk.lab.api_endpoint().trim_start_matches("http://");
    let addresses = [
        host.to_owned(),
        format!("http://{host}/api"),
        format!("http://{host}/api/"),
        format!("http://user:pw@{host}"),
        String::new(),
    ];
    for address in addresses {
        let login = ["login", "--email", "worker@email.com", "--api", &address];
        fails(&desk, &login, 2);
        fails(
            &desk,
            &["doctor", "--bucket", "b", "--s3-endpoint", "localhost:9000"],
            2,
        );
    }
    // With the slash that people copy, it is good.
    let slash = format!("http://{host}/");
    let login = ["login", "--email", "worker@email.com", "--api", &slash];
    assert_eq!(
        process(&desk, &login).output().unwrap().status.code(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_bucket_is_told_apart() {
    let desk = desk().await;
    let code = |variables: &[(&str, &str)]| {
        let mut command = process(&desk, &["doctor"]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), desk.told(&output))
    };
    let bucket = ("S3_BUCKET_NAME", desk.lab.bucket());
    let endpoint = ("S3_ENDPOINT", desk.lab.s3_endpoint());
    let region = ("AWS_REGION", "us-east-1");
    let user = ("MINIO_USERNAME", "minioadmin");
    let keys = ("MINIO_PASSWORD", "minioadmin");
    let (good, said) = code(&[bucket, endpoint, region, user, keys]);
    assert_eq!(good, 0, "{said}");
    let (refused, said) = code(&[bucket, endpoint, region, user, ("MINIO_PASSWORD", "wrong")]);
    assert_eq!(refused, 77, "{said}");
    let (none, said) = code(&[bucket, endpoint, region]);
    assert_eq!(none, 77, "{said}");
    let (nowhere, said) = code(&[
        bucket,
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
    ]);
    assert_eq!(nowhere, 2, "{said}");
    assert!(said.contains("AWS_REGION"), "{said}");
    // Variables that are set to nothing are not set.
    let (unset, said) = code(&[
        ("S3_BUCKET_NAME", ""),
        ("S3_ENDPOINT", ""),
        ("RECORDS_URI", ""),
    ]);
    assert_eq!(unset, 0, "{said}");
    let (wrong, said) = code(&[("RECORDS_URI", "reefguide")]);
    assert_eq!(wrong, 2, "{said}");
    assert!("reefguide".parse::<StorageUri>().is_err());
    desk.lab.faults().add(Fault::status(Route::S3List, 503));
    let (away, said) = code(&[bucket, endpoint, region, user, keys]);
    assert_eq!(away, 69, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_the_api_ends_with_ctrl_c() {
    let desk = desk().await;
    for (args, route, _) in COMMANDS {
        let before = desk.lab.faults().fired();
        desk.lab
            .faults()
            .add(Fault::delay(route, Duration::from_secs(600)));
        let mut process = process(&desk, args);
        let child = process
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        until(|| desk.lab.faults().fired() > before).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
        desk.lab.faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_book_and_the_help_have_the_same_exit_codes() {
    let book = include_str!("../../../../docs/src/reference/exit-codes.md");
    let table = book.split_once("| exit code | meaning |\n").unwrap().1;
    let rows = table.lines().skip(1).take_while(|row| row.starts_with('|'));
    let rows: Vec<_> = rows
        .map(|row| row.trim_matches(['|', ' ']).split_once(" | ").unwrap())
        .collect();
    let help = Desk::new().await.said(&["--help"]);
    let listed = help.split_once("Exit codes:\n").unwrap().1;
    let listed: Vec<_> = listed
        .lines()
        .map(|line| line.trim().split_once("  ").unwrap())
        .map(|(code, meaning)| (code, meaning.trim()))
        .collect();
    assert_eq!(rows[..rows.len() - 1], listed[..listed.len() - 1]);
    let (signals, codes) = rows.split_last().unwrap();
    let codes: Vec<_> = codes.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["0", "1", "2", "69", "74", "77"]);
    assert!(signals.0.contains("130") && signals.0.contains("143"));
}
