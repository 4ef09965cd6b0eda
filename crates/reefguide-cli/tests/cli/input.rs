//! Input as people really have it.

use std::os::unix::fs::symlink;

use reefguide_lab::Lab;

use crate::desk::Desk;

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_read_as_editors_save_it() {
    let desk = Desk::logged_in().await;
    desk.write("bom.json", "\u{feff}{\r\n  \"id\": 1\r\n}\r\n");
    let submit = |input| desk.said(&["submit", "TEST", "--input", input]);
    assert_eq!(submit("bom.json"), "exit 0\n1\n");
    let stdin = ["submit", "TEST", "--input", "-"];
    assert_eq!(desk.said_of(&stdin, "\u{feff}{\"id\": 2}"), "exit 0\n2\n");
    std::fs::write(desk.path("utf16.json"), utf16("{\"id\": 3}")).unwrap();
    std::fs::write(desk.path("latin1.json"), b"{\"id\": \"\xe5\"}").unwrap();
    desk.write("comma.json", "{\"id\": 3,}");
    let wrong = ["utf16.json", "latin1.json", "comma.json"].map(submit);
    insta::assert_snapshot!("payloads_that_cannot_be_read", wrong.concat());
    assert_eq!(desk.lab.jobs().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_read_as_editors_save_it() {
    let desk = Desk::with(Lab::builder().any_job_type()).await;
    desk.log_in_as("user@email.com");
    // As `cat` puts two files together.
    desk.write(
        "batch.jsonl",
        "\u{feff}{\"id\": 1}\r\n\r\n \t\r\n\u{feff}{\"id\": 2}\r\n",
    );
    let submit = |file| desk.said(&["submit", "TEST", "--rate", "1000", "--batch", file]);
    assert_eq!(submit("batch.jsonl"), "exit 0\n1\n2\n");
    desk.write("list.json", "[\r\n{\"id\": 3},\r\n{\"id\": 4}\r\n]");
    std::fs::write(desk.path("utf16.jsonl"), utf16("{\"id\": 3}\r\n")).unwrap();
    let wrong = ["list.json", "utf16.jsonl"].map(submit);
    insta::assert_snapshot!("batches_that_cannot_be_read", wrong.concat());
    assert_eq!(desk.lab.jobs().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_read_as_editors_save_them() {
    let desk = Desk::new().await;
    let printed = "\u{feff}{\"TEST\": {\"input\": true, \"output\": true}}\r\n";
    desk.write("schemas.json", printed);
    std::fs::create_dir(desk.path("expected")).unwrap();
    desk.write(
        "expected/TEST.json",
        "\u{feff}{\"input\": true, \"output\": true}\r\n",
    );
    let diff = |from| ["schema", "diff", from, "--expected", "expected"];
    let same = "exit 0\nthe schemas are as expected\n";
    assert_eq!(desk.said(&diff("schemas.json")), same);
    assert_eq!(desk.said_of(&diff("-"), printed), same);
    std::fs::write(desk.path("expected/TEST.json"), utf16("{}")).unwrap();
    insta::assert_snapshot!(
        "schemas_that_cannot_be_read",
        desk.said(&diff("schemas.json"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_may_be_given_from_home_by_a_link_or_with_a_slash() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[("a/b.json", b"{}".to_vec())]).await;
    std::fs::create_dir(desk.path("home")).unwrap();
    std::fs::create_dir(desk.path("real")).unwrap();
    symlink(desk.path("real"), desk.path("link")).unwrap();
    let run = |args: &[&str]| {
        let mut command = desk.reefguide(args);
        command.env("HOME", desk.path("home")).assert().success();
    };
    run(&["download", &job, "--to=~/out"]);
    assert_eq!(desk.files("home/out"), ["a/b.json"]);
    run(&["download", &job, "--to", "link"]);
    assert_eq!(desk.files("real"), ["a/b.json"]);
    run(&["download", &job, "--to", "new/"]);
    assert_eq!(desk.files("new"), ["a/b.json"]);
    run(&["man", "--to=~/man"]);
    assert!(desk.path("home/man/reefguide.1").is_file());
    desk.write("home/schemas.json", "{\"TEST\": {}}");
    run(&[
        "schema",
        "diff",
        "~/schemas.json",
        "--expected=~/expected",
        "--update",
    ]);
    assert_eq!(desk.files("home/expected"), ["TEST.json"]);
    desk.write("home/payload.json", "{\"id\": 5}");
    run(&["submit", "TEST", "--input=~/payload.json"]);
    run(&["submit", "TEST", "--batch=~/payload.json"]);
    assert!(!desk.path("~").exists());
    // Only a shell knows where that is.
    let unknown = desk.said(&["download", &job, "--to=~reef/out"]);
    assert!(unknown.starts_with("exit 2\n"), "{unknown}");
    assert!(unknown.contains("write the whole path"), "{unknown}");
    assert!(!desk.path("~reef").exists());
}
