//! Input as editors, shells and other programs write it.

use std::os::unix::fs::symlink;

use reefguide_lab::Lab;

use crate::fixture::CliFixture;

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_read_as_editors_save_it() {
    let cli = CliFixture::logged_in().await;
    cli.write("bom.json", "\u{feff}{\r\n  \"id\": 1\r\n}\r\n");
    let submit = |input| cli.run(&["submit", "TEST", "--input", input]);
    assert_eq!(submit("bom.json"), "exit 0\n1\n");
    let stdin = ["submit", "TEST", "--input", "-"];
    assert_eq!(
        cli.run_with_stdin(&stdin, "\u{feff}{\"id\": 2}"),
        "exit 0\n2\n"
    );
    std::fs::write(cli.path("utf16.json"), utf16("{\"id\": 3}")).unwrap();
    std::fs::write(cli.path("latin1.json"), b"{\"id\": \"\xe5\"}").unwrap();
    cli.write("comma.json", "{\"id\": 3,}");
    let wrong = ["utf16.json", "latin1.json", "comma.json"].map(submit);
    insta::assert_snapshot!("payloads_that_cannot_be_read", wrong.concat());
    assert_eq!(cli.lab.jobs().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_read_as_editors_save_it() {
    let cli = CliFixture::with(Lab::builder().any_job_type()).await;
    cli.log_in_as("user@email.com");
    // Two files concatenated by `cat`.
    cli.write(
        "batch.jsonl",
        "\u{feff}{\"id\": 1}\r\n\r\n \t\r\n\u{feff}{\"id\": 2}\r\n",
    );
    let submit = |file| cli.run(&["submit", "TEST", "--rate", "1000", "--batch", file]);
    assert_eq!(submit("batch.jsonl"), "exit 0\n1\n2\n");
    cli.write("list.json", "[\r\n{\"id\": 3},\r\n{\"id\": 4}\r\n]");
    std::fs::write(cli.path("utf16.jsonl"), utf16("{\"id\": 3}\r\n")).unwrap();
    let wrong = ["list.json", "utf16.jsonl"].map(submit);
    insta::assert_snapshot!("batches_that_cannot_be_read", wrong.concat());
    assert_eq!(cli.lab.jobs().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_read_as_editors_save_them() {
    let cli = CliFixture::new().await;
    let printed = "\u{feff}{\"TEST\": {\"input\": true, \"output\": true}}\r\n";
    cli.write("schemas.json", printed);
    std::fs::create_dir(cli.path("expected")).unwrap();
    cli.write(
        "expected/TEST.json",
        "\u{feff}{\"input\": true, \"output\": true}\r\n",
    );
    let diff = |from| ["schema", "diff", from, "--expected", "expected"];
    let same = "exit 0\nthe schemas are as expected\n";
    assert_eq!(cli.run(&diff("schemas.json")), same);
    assert_eq!(cli.run_with_stdin(&diff("-"), printed), same);
    std::fs::write(cli.path("expected/TEST.json"), utf16("{}")).unwrap();
    insta::assert_snapshot!(
        "schemas_that_cannot_be_read",
        cli.run(&diff("schemas.json"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_may_begin_with_a_tilde_be_a_link_or_end_with_a_slash() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("a/b.json", b"{}".to_vec())]).await;
    std::fs::create_dir(cli.path("home")).unwrap();
    std::fs::create_dir(cli.path("real")).unwrap();
    symlink(cli.path("real"), cli.path("link")).unwrap();
    let run = |args: &[&str]| {
        let mut command = cli.reefguide(args);
        command.env("HOME", cli.path("home")).assert().success();
    };
    run(&["download", &job, "--to=~/out"]);
    assert_eq!(cli.files("home/out"), ["a/b.json"]);
    run(&["download", &job, "--to", "link"]);
    assert_eq!(cli.files("real"), ["a/b.json"]);
    run(&["download", &job, "--to", "new/"]);
    assert_eq!(cli.files("new"), ["a/b.json"]);
    run(&["man", "--to=~/man"]);
    assert!(cli.path("home/man/reefguide.1").is_file());
    cli.write("home/schemas.json", "{\"TEST\": {}}");
    run(&[
        "schema",
        "diff",
        "~/schemas.json",
        "--expected=~/expected",
        "--update",
    ]);
    assert_eq!(cli.files("home/expected"), ["TEST.json"]);
    cli.write("home/payload.json", "{\"id\": 5}");
    run(&["submit", "TEST", "--input=~/payload.json"]);
    run(&["submit", "TEST", "--batch=~/payload.json"]);
    assert!(!cli.path("~").exists());
    // Only a shell can expand another user's home.
    let unknown = cli.run(&["download", &job, "--to=~reef/out"]);
    assert!(unknown.starts_with("exit 2\n"), "{unknown}");
    assert!(unknown.contains("write the whole path"), "{unknown}");
    assert!(!cli.path("~reef").exists());
}
