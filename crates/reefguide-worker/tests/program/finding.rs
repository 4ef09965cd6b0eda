//! Where a program is searched for.

use std::os::unix::fs::symlink;
use std::path::Path;

use reefguide_worker::prelude::*;

use crate::{harness, in_time};

/// Runs `program` with this `PATH`; returns the path that it was started by, and where it finds `found` itself.
async fn run_in_path(program: &Path, path: &str) -> String {
    let program = Program::new(program)
        .args([
            "-c",
            "printf '\"%s %s\"' \"$0\" \"$(command -v found)\" >\"$JOB_RESULT\"",
        ])
        .env("PATH", path);
    let finished = in_time(harness(program).run(json!({}))).await.unwrap();
    finished.result().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn relative_folders_of_path_start_at_the_workers_folder_also_for_the_program() {
    // A test's current folder is its crate's folder.
    let folder = tempfile::tempdir_in("tests").unwrap();
    symlink("/bin/sh", folder.path().join("found")).unwrap();
    let absolute = std::path::absolute(folder.path()).unwrap();
    let relative = Path::new("tests").join(folder.path().file_name().unwrap());
    let path = format!("{}:/usr/bin:/bin", relative.display());
    let seen = run_in_path(Path::new("found"), &path).await;
    assert_eq!(seen, format!("found {}/found", absolute.display()));
}

#[tokio::test]
async fn a_relative_path_is_also_searched_for_in_the_folders_of_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tools")).unwrap();
    symlink("/bin/sh", folder.path().join("tools/sh")).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let seen = run_in_path(Path::new("tools/sh"), &path).await;
    assert_eq!(seen, format!("{}/tools/sh ", folder.path().display()));
}

#[tokio::test]
async fn a_program_may_be_beside_the_workers_executable() {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let file = folder.path().join("sh");
    symlink("/bin/sh", &file).unwrap();
    let relative = Path::new(folder.path().file_name().unwrap()).join("sh");
    let seen = run_in_path(&relative, "/usr/bin:/bin").await;
    assert_eq!(seen, format!("{} ", file.display()));

    let name = folder.path().with_extension("program");
    symlink("/bin/sh", &name).unwrap();
    let seen = run_in_path(Path::new(name.file_name().unwrap()), "/usr/bin:/bin").await;
    std::fs::remove_file(&name).unwrap();
    assert_eq!(seen, format!("{} ", name.display()));
}

#[tokio::test]
async fn files_that_cannot_be_executed_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/sh")).unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    std::fs::write(folder.path().join("b/sh"), "").unwrap();
    let path = folder.path().display();
    let seen = run_in_path(Path::new("sh"), &format!("{path}/a:{path}/b:/usr/bin:/bin")).await;
    assert_eq!(seen, "sh ");
}

#[tokio::test]
async fn a_relative_path_starts_at_the_workers_folder() {
    // A test's current folder is its crate's folder.
    let folder = tempfile::tempdir_in("tests").unwrap();
    let file = folder.path().join("program");
    std::os::unix::fs::symlink("/bin/sh", &file).unwrap();
    let program = Path::new("tests").join(folder.path().file_name().unwrap());
    let program = Program::new(program.join("program")).args(["-c", "exit 0"]);
    in_time(harness(program).run(json!({}))).await.unwrap();
}
