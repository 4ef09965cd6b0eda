//! The packages that a release publishes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{root, run};

/// The crates that a worker is built from.
const CRATES: [&str; 7] = [
    "reefguide-client",
    "reefguide-jobs",
    "reefguide-lab",
    "reefguide-storage",
    "reefguide-terminal",
    "reefguide-transport",
    "reefguide-worker",
];

/// The packages as they would be published, unpacked, by name. Building a worker from them verifies them.
pub(crate) fn packaged(into: &Path) -> [(&'static str, PathBuf); 7] {
    let mut publish = Command::new("cargo");
    publish
        .args([
            "publish",
            "--dry-run",
            "--no-verify",
            "--allow-dirty",
            "--locked",
        ])
        .args(CRATES.iter().flat_map(|name| ["--package", name]))
        .env("CARGO_TARGET_DIR", into)
        .current_dir(root());
    run(&mut publish);
    CRATES.map(|name| {
        let package = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        let archive = into
            .join("package/tmp-crate")
            .join(format!("{package}.crate"));
        run(Command::new("tar")
            .arg("-xzf")
            .arg(archive)
            .arg("-C")
            .arg(into));
        (name, into.join(package))
    })
}

#[test]
fn a_package_has_no_stray_files() {
    for name in CRATES.into_iter().chain(["reefguide-cli"]) {
        let mut list = Command::new("cargo");
        list.args([
            "package",
            "--list",
            "--quiet",
            "--allow-dirty",
            "--package",
            name,
        ])
        .current_dir(root());
        insta::assert_snapshot!(name, run(&mut list));
    }
}
