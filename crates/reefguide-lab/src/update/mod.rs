//! Brings a worker to the template of another release: what `just update` runs in a generated worker.

mod answers;
mod error;
mod generator;
mod git;

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::answers::Answers;
use self::error::UpdateError;
use self::generator::Generator;
use self::git::Git;
use crate::error::{BoxError, chain};

/// Bring this worker to the template of another release
///
/// The worker is generated twice with the answers in template-answers.toml, from the release it comes from and from the
/// new one, and the difference is merged into your files, as git merges a branch. Your handlers, payloads and programs
/// take no part. The result is staged, not committed.
#[derive(Debug, Parser)]
#[command(name = "update", bin_name = "just update")]
struct Arguments {
    /// The tag of the release, such as v0.2.0
    tag: String,
    /// The template's repository, a folder or a URL, if it is not the one in template-answers.toml
    #[arg(long)]
    repository: Option<String>,
}

/// The `update` command as a whole: reads the process's arguments, merges the new template into the worker, and prints
/// what to do next.
///
/// A worker's project runs it from an example of these lines:
///
/// ```no_run
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     reefguide_lab::update::main().await
/// }
/// ```
///
/// It needs git and cargo-generate. The exit code is 0 if the worker is up to date, 2 if the arguments are wrong, and 1
/// for everything else, conflicts included.
pub async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // `cargo run` sets both, whatever folder it was started in.
    let worker = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = tokio::select! {
        done = run(&worker, &arguments.tag, arguments.repository.as_deref(), &cargo) => done,
        stopped = stop_signal() => Err(stopped.into()),
    };
    match done {
        Ok(next) => {
            let _ = writeln!(io::stdout(), "{next}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            progress(format_args!("error: {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

/// Merges the template of the release `tag` into the worker in the folder `worker`, as [`main`] does, and returns what to
/// do next.
///
/// The template is in `repository`, or in the one in the worker's answers, and `cargo` is the program whose `generate`
/// command generates from it.
///
/// Cancel safe: an update that is dropped before it merges changes nothing, and removes its temporary folder.
///
/// # Errors
/// When the worker cannot be updated, or the update has conflicts.
pub async fn run(
    worker: &Path,
    tag: &str,
    repository: Option<&str>,
    cargo: &OsStr,
) -> Result<String, BoxError> {
    let answers = Answers::read(worker)?;
    let repository = match repository {
        Some(repository) => repository.to_owned(),
        None => answers.repository()?,
    };
    // Finds everything that the update needs before it begins.
    let git = Git::open(worker).await?;
    git.require_clean_tree().await?;
    let generator = Generator::new(worker, &repository, answers.name()?, cargo).await?;
    let old = answers.release()?;
    let scratch = tempfile::Builder::new()
        .prefix("reefguide-update-")
        .tempdir()
        .map_err(UpdateError::Scratch)?;
    let tree = async |tag: &str, name: &str| {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).map_err(UpdateError::Scratch)?;
        progress(format_args!("generating {tag} of {repository}"));
        let generated = generator.generate(tag, &folder).await?;
        git.write_tree(&generated, &folder).await
    };
    let before = tree(&old, "before").await?;
    let after = tree(tag, "after").await?;
    let conflicts = git.merge(&before, &after).await?;
    if !conflicts.is_empty() {
        let (new, files) = (tag.to_owned(), conflicts.join(", "));
        return Err(UpdateError::Conflicts { old, new, files }.into());
    }
    Ok(format!(
        "updated from {old} to {tag}: see 'git diff --cached', run 'cargo update' and 'cargo test', then commit"
    ))
}

/// Waits for Ctrl-C or SIGTERM. The update is dropped then, and removes its temporary folder.
async fn stop_signal() -> UpdateError {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return UpdateError::Stopped;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    UpdateError::Stopped
}

/// Prints a line on stderr, which may have no reader.
fn progress(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
