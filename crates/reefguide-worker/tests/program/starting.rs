//! Programs and scripts that cannot be started.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use reefguide_worker::prelude::*;

use crate::{harness, in_time};

/// Writes a script into a folder. Another process writes it, because a file that is open for writing cannot be started.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    let written = std::process::Command::new("sh")
        .args(["-c", "printf \"$0\" >\"$1\" && chmod 755 \"$1\"", text])
        .arg(&file)
        .status();
    assert!(written.unwrap().success());
    file
}

/// The errors of programs, without what differs between runs.
async fn failures(folder: &Path, programs: impl IntoIterator<Item = PathBuf>) -> String {
    let mut errors = Vec::new();
    for program in programs {
        let error = in_time(harness(Program::new(program)).run(json!({}))).await;
        errors.push(format!("{:?}", error.unwrap_err()));
    }
    errors
        .join("\n")
        .replace(folder.to_str().unwrap(), "[folder]")
}

/// Filters for what differs between machines: the messages of shells and `env`, and the folders of `PATH`.
const MACHINE: [(&str, &str); 2] = [
    (r"not found in [^;]*;", "not found in [folders];"),
    (r"(exit code \d+): [^;]*;", "$1: […];"),
];

#[tokio::test]
async fn a_program_that_cannot_be_started_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let plain = path.join("plain.R");
    std::fs::write(&plain, "1 + 1").unwrap();
    symlink("nowhere", path.join("dangling")).unwrap();
    let programs = [
        Path::new("no-such-program").to_owned(),
        "no-such-folder/no-such-program".into(),
        path.join("none"),
        "".into(),
        path.to_owned(),
        path.join("dangling"),
        plain.join("below"),
        plain,
    ];
    let errors = failures(folder.path(), programs).await;
    insta::with_settings!({ filters => MACHINE.to_vec(), omit_expression => true }, {
        insta::assert_snapshot!(errors);
    });
}

#[tokio::test]
async fn the_reason_why_a_script_cannot_start_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name, text| script(folder.path(), name, text);
    let programs = [
        file("missing.py", "#!/usr/bin/python9 -u\\n"),
        file("relative.py", "#! python3\\n"),
        file("folder.sh", "#!/tmp\\n"),
        file("nothing.sh", "#!\\n"),
        file("windows.sh", "#!/bin/sh\\r\\nexit 0\\r\\n"),
        file("windows-argument.sh", "#!/bin/sh -e\\r\\nexit 0\\r\\n"),
        file(
            "windows-env.py",
            "#!/usr/bin/env python3\\r\\nexit(0)\\r\\n",
        ),
        file("env.py", "#!/usr/bin/env python9\\n"),
        file("split.py", "#!/usr/bin/env -S A=1 python9 -u\\n"),
        file("marked.sh", "\\357\\273\\277#!/bin/sh\\n"),
        file("unnamed.sh", "exit 0\\n"),
        file("empty", ""),
        file("elsewhere", "\\177ELF\\1\\2\\1aaaaaaaaaaaaaaaaa"),
    ];
    let errors = failures(folder.path(), programs).await;
    insta::with_settings!({ filters => MACHINE.to_vec(), omit_expression => true }, {
        insta::assert_snapshot!(errors);
    });
}

#[tokio::test]
async fn a_script_that_fails_by_itself_gets_no_hint() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "fails", "#!/usr/bin/env sh\\nexit 127\\n");
    let errors = failures(folder.path(), [file]).await;
    assert!(
        errors.ends_with("exit code 127; it wrote nothing to stderr)"),
        "{errors}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_is_being_written_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "busy", "#!/bin/sh\\n");
    let _open = File::options().write(true).open(&file).unwrap();
    let error = in_time(harness(Program::new(file)).run(json!({})))
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}
