//! `cargo xtask template-check`: the tests of the templates.

use std::path::Path;
use std::process::Stdio;

use clap::Args;
use tokio::process::Command;

use crate::failure::Failure;
use crate::process::Process;
use crate::session::{Ended, Session};

/// Generate workers from the templates, and format, lint, build, test and run them
///
/// It needs the command cargo-generate and takes some minutes. A test that needs a tool which is not on PATH (just,
/// hadolint, cfn-lint, check-jsonschema, buildah) is skipped with a message, unless TEMPLATE_CHECK_TOOLS requires the
/// tool, as in TEMPLATE_CHECK_TOOLS="just hadolint". Only build output is left behind, in `target/tmp`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only tests whose names contain this
    filter: Option<String>,
}

/// Runs the check.
pub(crate) fn template_check(options: &Options) -> Result<(), Ended> {
    let session = Session::begin("reefguide-template")?;
    let scratch = session.scratch().to_owned();
    session.run(check(options, &scratch))
}

async fn check(options: &Options, scratch: &Path) -> Result<(), Failure> {
    let mut version = Command::new("cargo");
    version
        .args(["generate", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !Process::start("cargo", &mut version)?
        .wait()
        .await?
        .success()
    {
        return Err(Failure::new(
            "cargo-generate is not installed; install it with `cargo install cargo-generate --locked`, which takes \
             some minutes (with a Rust that is older than it wants, add --ignore-rust-version)",
        ));
    }
    let mut tests = Command::new("cargo");
    tests
        .args(["test", "--package", "xtask", "--test", "template", "--"])
        .args(&options.filter)
        .arg("--nocapture")
        // Their folders are removed with the session, also after Ctrl-C.
        .env("TMPDIR", scratch);
    let status = Process::start("cargo test", &mut tests)?.wait().await?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("the template check failed; see above"))
    }
}
