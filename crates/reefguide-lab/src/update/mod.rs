//! Brings a worker to the template of another release: what `just update` runs in a generated worker.

mod answers;
mod error;
mod generator;
mod git;
#[cfg(test)]
mod tests;

use std::env;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::answers::Answers;
use self::error::UpdateError;
use self::generator::Generator;
use self::git::Git;

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
    let done = tokio::select! {
        done = run(arguments) => done,
        stopped = stop_signal() => Err(stopped),
    };
    match done {
        Ok(update) => {
            let _ = writeln!(io::stdout(), "{update}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            progress(format_args!("error: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Finds everything that an update needs before it begins.
async fn run(arguments: Arguments) -> Result<Update, UpdateError> {
    // `cargo run` sets it, whatever folder it was started in.
    let worker = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from);
    let answers = Answers::read(&worker)?;
    let repository = match arguments.repository {
        Some(repository) => repository,
        None => answers.repository()?,
    };
    let git = Git::open(&worker).await?;
    git.require_clean_tree().await?;
    let generator = Generator::new(&worker, &repository, answers.name()?).await?;
    update(
        &git,
        answers.release()?,
        arguments.tag,
        async |tag, into| {
            progress(format_args!("generating {tag} of {repository}"));
            generator.generate(tag, into).await
        },
    )
    .await
}

/// Merges the difference between two releases of the template, which `generate` puts into the folder it is given.
async fn update(
    git: &Git,
    old: String,
    new: String,
    generate: impl AsyncFn(&str, &Path) -> Result<PathBuf, UpdateError>,
) -> Result<Update, UpdateError> {
    let scratch = tempfile::Builder::new()
        .prefix("reefguide-update-")
        .tempdir()
        .map_err(UpdateError::Scratch)?;
    let tree = async |tag: &str, name: &str| {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).map_err(UpdateError::Scratch)?;
        let generated = generate(tag, &folder).await?;
        git.write_tree(&generated, &folder).await
    };
    let before = tree(&old, "before").await?;
    let after = tree(&new, "after").await?;
    let conflicts = git.merge(&before, &after).await?;
    if conflicts.is_empty() {
        Ok(Update { old, new })
    } else {
        Err(UpdateError::Conflicts {
            old,
            new,
            files: conflicts.join(", "),
        })
    }
}

/// An update without conflicts, and what is left to do.
#[derive(Debug)]
struct Update {
    old: String,
    new: String,
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "updated from {} to {}: see 'git diff --cached', run 'cargo update' and 'cargo test', then commit",
            self.old, self.new
        )
    }
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

/// An error with its causes, on one line.
fn chain(error: &UpdateError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
