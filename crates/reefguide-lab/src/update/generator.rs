//! Workers from the template, by the `cargo generate` command.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::answers;
use super::error::UpdateError;
use super::git::remote_tags;

/// Generates one worker from any release of its template.
#[derive(Debug)]
pub(super) struct Generator {
    worker: PathBuf,
    repository: String,
    name: String,
    cargo: OsString,
}

impl Generator {
    /// Prepares to generate the worker `name` with the answers in the folder `worker`, by the program `cargo`.
    pub(super) async fn new(
        worker: &Path,
        repository: &str,
        name: &str,
        cargo: &OsStr,
    ) -> Result<Self, UpdateError> {
        let mut version = cargo_generate(cargo);
        version
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !succeeds(&mut version).await? {
            return Err(UpdateError::NoCargoGenerate);
        }
        // cargo-generate takes a relative path such as `sdk/main` for a repository on GitHub.
        let local = worker.join(repository).canonicalize();
        let local = local
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok());
        Ok(Self {
            worker: worker.to_owned(),
            repository: local.unwrap_or_else(|| repository.to_owned()),
            name: name.to_owned(),
            cargo: cargo.to_owned(),
        })
    }

    /// Generates the worker of a release in `folder`, and returns its own folder.
    pub(super) async fn generate(&self, tag: &str, folder: &Path) -> Result<PathBuf, UpdateError> {
        let mut generate = cargo_generate(&self.cargo);
        generate
            .args(["--git", &self.repository, "--tag", tag, "template"])
            .args(["--name", &self.name, "--values-file", answers::FILE])
            .args([
                "--silent",
                "--vcs",
                "none",
                "--no-workspace",
                "--destination",
            ])
            .arg(folder)
            .current_dir(&self.worker)
            .kill_on_drop(true);
        if succeeds(&mut generate).await? {
            return Ok(folder.join(&self.name));
        }
        let tags = remote_tags(&self.worker, &self.repository).await?;
        let (repository, tag) = (self.repository.clone(), tag.to_owned());
        Err(match tags.contains(&tag) {
            true => UpdateError::Generate { repository, tag },
            false => UpdateError::NoTag {
                repository,
                tag,
                tags: tags.join(", "),
            },
        })
    }
}

fn cargo_generate(cargo: &OsStr) -> Command {
    let mut command = Command::new(cargo);
    command.arg("generate");
    command
}

async fn succeeds(command: &mut Command) -> Result<bool, UpdateError> {
    let status = command.status().await;
    let status = status.map_err(|source| UpdateError::start(command, source))?;
    Ok(status.success())
}
