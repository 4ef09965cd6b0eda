//! The worker's own repository, by the `git` command.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;

use super::error::UpdateError;

/// The repository that a worker is in.
#[derive(Debug)]
pub(super) struct Git {
    worker: PathBuf,
    git_dir: PathBuf,
    /// The worker's folder in the repository, with a slash at the end; empty at its root.
    prefix: String,
}

impl Git {
    /// Finds the repository that has the worker's folder.
    pub(super) async fn open(worker: &Path) -> Result<Self, UpdateError> {
        let mut command = git(["rev-parse", "--absolute-git-dir", "--show-prefix"]);
        let output = output(command.current_dir(worker)).await?;
        let said = stdout(&output);
        match said.split_once('\n') {
            Some((git_dir, prefix)) if output.status.success() => Ok(Self {
                worker: worker.to_owned(),
                git_dir: git_dir.into(),
                prefix: prefix.trim_end_matches('\n').to_owned(),
            }),
            _ => Err(UpdateError::NoRepository {
                folder: worker.to_owned(),
                said: complaint(&output),
            }),
        }
    }

    /// Refuses a working tree with changes, which would mix with the changes of the update.
    pub(super) async fn require_clean_tree(&self) -> Result<(), UpdateError> {
        let status = self.run(&["status", "--porcelain"]).await?;
        // The template has no lock file, and cargo may have written it to run this very command.
        let lock_file = format!("{}Cargo.lock", self.prefix);
        let changed: Vec<_> = status
            .lines()
            .filter_map(|line| line.get(3..))
            .filter(|&file| file != lock_file)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let mut files = changed
            .iter()
            .take(5)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        if changed.len() > 5 {
            files += &format!(" and {} more", changed.len() - 5);
        }
        Err(UpdateError::Changes { files })
    }

    /// Stores a generated worker as a tree of this repository, at the place of the worker, and returns its id. Handlers,
    /// payloads and programs are left out: they are the author's. The index is made in `scratch`.
    pub(super) async fn write_tree(
        &self,
        generated: &Path,
        scratch: &Path,
    ) -> Result<String, UpdateError> {
        let index = scratch.join("index");
        let at = |arguments: &[&str]| {
            let mut command = git(["--work-tree", "."]);
            command
                .args(arguments)
                .current_dir(generated)
                .env("GIT_DIR", &self.git_dir)
                .env("GIT_INDEX_FILE", &index);
            command
        };
        let templates = [".", ":!payloads", ":!programs", ":!src/handlers"];
        succeed(at(&["add", "--all", "--force"]).args(templates)).await?;
        let tree = succeed(&mut at(&["write-tree"])).await?;
        if self.prefix.is_empty() {
            return Ok(tree);
        }
        succeed(&mut at(&["read-tree", "--empty"])).await?;
        let prefix = format!("--prefix={}", self.prefix);
        succeed(&mut at(&["read-tree", &prefix, &tree])).await?;
        succeed(&mut at(&["write-tree"])).await
    }

    /// Refuses a tree with new files where the worker has files that git ignores: it would overwrite those without a word.
    async fn require_free_paths(&self, before: &str, after: &str) -> Result<(), UpdateError> {
        let added = ["diff", "--name-only", "--diff-filter=A", before, after];
        let added = self.run(&added).await?;
        if added.is_empty() {
            return Ok(());
        }
        let mut list = git(["ls-files", "--others", "--ignored", "--exclude-standard"]);
        let paths = added.lines().map(|file| format!(":(top){file}"));
        list.arg("--full-name")
            .args(paths)
            .current_dir(&self.worker);
        match succeed(&mut list).await?.replace('\n', ", ") {
            files if files.is_empty() => Ok(()),
            files => Err(UpdateError::Ignored { files }),
        }
    }

    /// Merges what changed from one tree to the other into the working tree and the index. Returns the files with
    /// conflicts.
    pub(super) async fn merge(
        &self,
        before: &str,
        after: &str,
    ) -> Result<Vec<String>, UpdateError> {
        self.require_free_paths(before, after).await?;
        let identity = ["-c", "user.name=template", "-c", "user.email=template"];
        let commit = [&identity[..], &["commit-tree", "-m", "template"]].concat();
        let base = self.run(&[&commit[..], &[before]].concat()).await?;
        let new = self
            .run(&[&commit[..], &["-p", &base, after]].concat())
            .await?;
        let mut pick = git(["cherry-pick", "--no-commit", &new]);
        let picked = succeed(pick.current_dir(&self.worker)).await;
        let Err(error) = picked else {
            return Ok(Vec::new());
        };
        let conflicts = self
            .run(&["diff", "--name-only", "--diff-filter=U"])
            .await?;
        match conflicts.is_empty() {
            true => Err(error),
            false => Ok(conflicts.lines().map(str::to_owned).collect()),
        }
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, UpdateError> {
        succeed(git(arguments).current_dir(&self.worker)).await
    }
}

/// The tags of a repository, which may be on another machine.
pub(super) async fn remote_tags(
    worker: &Path,
    repository: &str,
) -> Result<Vec<String>, UpdateError> {
    let mut list = git(["ls-remote", "--tags", "--refs", "--", repository]);
    list.current_dir(worker).env("GIT_TERMINAL_PROMPT", "0");
    let output = output(&mut list).await?;
    if !output.status.success() {
        return Err(UpdateError::Unreachable {
            repository: repository.to_owned(),
            said: complaint(&output),
        });
    }
    let said = stdout(&output);
    let tags = said
        .lines()
        .filter_map(|line| line.split_once("refs/tags/"));
    Ok(tags.map(|(_, tag)| tag.to_owned()).collect())
}

fn git<'a>(arguments: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> Command {
    let mut command = Command::new("git");
    command.args(arguments.into_iter().map(AsRef::as_ref));
    command
}

/// Runs a command that has to succeed; what it prints, without the last line break.
async fn succeed(command: &mut Command) -> Result<String, UpdateError> {
    let output = output(command).await?;
    if output.status.success() {
        return Ok(stdout(&output).trim_end().to_owned());
    }
    let arguments = command.as_std().get_args();
    let arguments: Vec<_> = arguments.map(|word| word.to_string_lossy()).collect();
    Err(UpdateError::Git {
        arguments: arguments.join(" "),
        said: complaint(&output),
    })
}

async fn output(command: &mut Command) -> Result<Output, UpdateError> {
    let output = command.output().await;
    output.map_err(|source| UpdateError::start(command, source))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command says when it fails, on one line.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    lines.join("; ")
}
