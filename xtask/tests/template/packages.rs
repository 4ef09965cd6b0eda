//! What goes to crates.io.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::building::target;
use crate::tools::{root, run};

const CRATES: [&str; 2] = ["reefguide-lab", "reefguide-worker"];

/// The crates as they would be published, unpacked, by name.
pub(crate) fn packaged() -> &'static [(&'static str, PathBuf)] {
    static PACKAGED: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    PACKAGED.get_or_init(|| {
        let mut publish = Command::new("cargo");
        publish
            .args(["publish", "--dry-run", "--allow-dirty", "--locked"])
            .args(CRATES.iter().flat_map(|name| ["--package", name]))
            .env("CARGO_TARGET_DIR", target())
            .current_dir(root());
        run(&mut publish);
        // Verifying them, cargo has unpacked them there.
        let version = env!("CARGO_PKG_VERSION");
        let folder = |name| target().join(format!("package/{name}-{version}"));
        CRATES.map(|name| (name, folder(name))).to_vec()
    })
}

#[test]
fn the_crates_can_be_published() {
    for (name, folder) in packaged() {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{manifest}"
        );
    }
}

#[test]
fn a_package_has_no_stray_files() {
    for name in CRATES {
        let mut list = Command::new("cargo");
        list.args(["package", "--list", "--allow-dirty", "--package", name])
            .current_dir(root());
        insta::assert_snapshot!(name, run(&mut list));
    }
}
