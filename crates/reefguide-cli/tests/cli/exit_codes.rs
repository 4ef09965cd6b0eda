//! The table of exit codes in the book, and what the commands do.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_worker::storage::StorageUri;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fixture::{CliFixture, until};

/// Commands that use the API, the route of their first request, and whether they wait when the API fails.
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

async fn fixture() -> CliFixture {
    let cli = CliFixture::new().await;
    cli.log_in_as("worker@email.com");
    cli.finished_job(&[("a.json", b"{}".to_vec())]).await;
    cli.lab.submit("TEST", json!({ "id": 2 })).unwrap();
    cli.write("batch.jsonl", "{\"id\": 8}\n");
    cli
}

fn process(cli: &CliFixture, args: &[&str]) -> Command {
    let mut command = cli.process(args);
    command
        .env("API_ENDPOINT", cli.lab.api_endpoint())
        .env("REEFGUIDE_PASSWORD", "password");
    command
}

/// Runs a command that must fail with this exit code and print only on stderr, as JSON with `--json`.
fn fails(cli: &CliFixture, args: &[&str], code: i32) {
    for json in [None, Some("--json")] {
        let args: Vec<_> = args.iter().copied().chain(json).collect();
        let output = process(cli, &args).output().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {printed}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{args:?}");
        match json {
            // Without arguments, clap prints the help.
            None => assert!(
                printed.contains("error: ") || args.is_empty(),
                "{args:?}: {printed}"
            ),
            Some(_) => {
                let lines = printed.lines().map(serde_json::from_str::<Value>);
                let last = lines.map(Result::unwrap).next_back().unwrap();
                assert_eq!(last["exitCode"], code, "{args:?}: {printed}");
                assert!(last["error"].is_string(), "{args:?}: {printed}");
            }
        }
    }
}

/// Runs a command that waits while the API fails, until it prints that it waits.
fn waits(cli: &CliFixture, args: &[&str]) {
    let mut process = process(cli, args);
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
async fn each_kind_of_failure_has_its_exit_code_in_each_command() {
    let cli = fixture().await;
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
            cli.lab.faults().add(fault.clone());
            match patient {
                false => fails(&cli, args, 69),
                true => waits(&cli, args),
            }
            assert!(cli.lab.faults().fired() > 0, "{args:?}: {fault:?}");
            cli.lab.faults().clear();
        }
        for (status, code) in [(400, 1), (401, 77), (403, 77), (404, 1)] {
            // A login is not about a job that could be refused.
            if args[0] != "login" || code == 77 {
                cli.lab.faults().add(Fault::status(route, status));
                fails(&cli, args, code);
                cli.lab.faults().clear();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_and_a_missing_session_do_nothing() {
    let cli = fixture().await;
    let before = cli.lab.requests().len();
    for (args, ..) in COMMANDS {
        fails(&cli, &[args, &["--nonsense"]].concat(), 2);
    }
    fails(&cli, &[], 2);
    fails(&cli, &["show", "0"], 2);
    fails(&cli, &["submit", "TEST", "--input", "none.json"], 2);
    fails(
        &cli,
        &["submit", "TEST", "--input", "{\"a\": \"\\u0000\"}"],
        2,
    );
    fails(&cli, &["submit", "TEST", "--batch", "none.jsonl"], 2);
    fails(&cli, &["schema", "diff", "none", "--expected", "none"], 2);
    fails(&cli, &["doctor", "--without-record"], 2);
    std::fs::remove_file(cli.path("session.json")).unwrap();
    for (args, ..) in COMMANDS {
        if args[0] != "login" {
            fails(&cli, args, 77);
        }
    }
    assert_eq!(cli.lab.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_is_a_usage_error() {
    let cli = fixture().await;
    let host = cli.lab.api_endpoint().trim_start_matches("http://");
    let addresses = [
        host.to_owned(),
        format!("http://{host}/api"),
        format!("http://{host}/api/"),
        format!("http://user:pw@{host}"),
        String::new(),
    ];
    for address in addresses {
        let login = ["login", "--email", "worker@email.com", "--api", &address];
        fails(&cli, &login, 2);
        fails(
            &cli,
            &["doctor", "--bucket", "b", "--s3-endpoint", "localhost:9000"],
            2,
        );
    }
    // A trailing slash is accepted.
    let slash = format!("http://{host}/");
    let login = ["login", "--email", "worker@email.com", "--api", &slash];
    assert_eq!(
        process(&cli, &login).output().unwrap().status.code(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_of_the_bucket_has_its_exit_code() {
    let cli = fixture().await;
    let code = |variables: &[(&str, &str)]| {
        let mut command = process(&cli, &["doctor"]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), cli.transcript(&output))
    };
    let bucket = ("S3_BUCKET_NAME", cli.lab.bucket());
    let endpoint = ("S3_ENDPOINT", cli.lab.s3_endpoint());
    let region = ("AWS_REGION", "us-east-1");
    let user = ("MINIO_USERNAME", "minioadmin");
    let keys = ("MINIO_PASSWORD", "minioadmin");
    let (good, printed) = code(&[bucket, endpoint, region, user, keys]);
    assert_eq!(good, 0, "{printed}");
    let (refused, printed) = code(&[bucket, endpoint, region, user, ("MINIO_PASSWORD", "wrong")]);
    assert_eq!(refused, 77, "{printed}");
    let (none, printed) = code(&[bucket, endpoint, region]);
    assert_eq!(none, 77, "{printed}");
    let (nowhere, printed) = code(&[
        bucket,
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
    ]);
    assert_eq!(nowhere, 2, "{printed}");
    assert!(printed.contains("AWS_REGION"), "{printed}");
    // Empty variables count as not set.
    let (unset, printed) = code(&[
        ("S3_BUCKET_NAME", ""),
        ("S3_ENDPOINT", ""),
        ("RECORDS_URI", ""),
    ]);
    assert_eq!(unset, 0, "{printed}");
    let (wrong, printed) = code(&[("RECORDS_URI", "reefguide")]);
    assert_eq!(wrong, 2, "{printed}");
    assert!("reefguide".parse::<StorageUri>().is_err());
    cli.lab.faults().add(Fault::status(Route::S3List, 503));
    let (away, printed) = code(&[bucket, endpoint, region, user, keys]);
    assert_eq!(away, 69, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_the_api_ends_with_ctrl_c() {
    let cli = fixture().await;
    for (args, route, _) in COMMANDS {
        let before = cli.lab.faults().fired();
        cli.lab
            .faults()
            .add(Fault::delay(route, Duration::from_secs(600)));
        let mut process = process(&cli, args);
        let child = process
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        until(|| cli.lab.faults().fired() > before).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
        cli.lab.faults().clear();
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
    let help = CliFixture::new().await.run(&["--help"]);
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
