//! Why a worker could not be updated.

use std::io;
use std::path::PathBuf;

use tokio::process::Command;

/// Why a worker could not be updated, and what helps.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpdateError {
    #[error(
        "{} cannot be read: it records which template the worker comes from; run this in a generated worker, or restore \
         the file from its first commit",
        file.display()
    )]
    Answers { file: PathBuf, source: io::Error },
    #[error("{} has no line `{key} = \"…\"`: restore the line from the file's first commit", file.display())]
    Answer { file: PathBuf, key: &'static str },
    #[error("`{program}` cannot be started: install it, and put it on PATH")]
    Start { program: String, source: io::Error },
    #[error(
        "{} is not a git repository that can be used: run `git init`, commit the worker's files, and try again; git says: {said}",
        folder.display()
    )]
    NoRepository { folder: PathBuf, said: String },
    #[error(
        "commit or stash your changes first, so that the update can be told from them: {files}"
    )]
    Changes { files: String },
    #[error("the new template would overwrite files that git ignores: move {files} away first")]
    Ignored { files: String },
    #[error(
        "cargo-generate is not installed: run `cargo install cargo-generate --locked`, which takes some minutes (with \
         Rust 1.95 or 1.96 add `--ignore-rust-version`)"
    )]
    NoCargoGenerate,
    #[error(
        "the template's repository {repository} cannot be reached: correct it in template-answers.toml, or name another \
         one with --repository; git says: {said}"
    )]
    Unreachable { repository: String, said: String },
    #[error(
        "the template's repository {repository} has no tag {tag}: name one of its tags ({tags}), or fetch the tag into it"
    )]
    NoTag {
        repository: String,
        tag: String,
        tags: String,
    },
    #[error("cargo-generate cannot generate {tag} of {repository}: see its message above")]
    Generate { repository: String, tag: String },
    #[error("`git {arguments}` failed and nothing was merged: {said}")]
    Git { arguments: String, said: String },
    #[error("a temporary folder cannot be used: make room in it, or set TMPDIR to another one")]
    Scratch(#[source] io::Error),
    #[error(
        "updated from {old} to {new} with conflicts in {files}: resolve them (`git status` lists them), then commit; or \
         undo the update with `git reset --hard`"
    )]
    Conflicts {
        old: String,
        new: String,
        files: String,
    },
    #[error("stopped: `git status` shows whether anything was merged")]
    Stopped,
}

impl UpdateError {
    pub(super) fn start(command: &Command, source: io::Error) -> Self {
        let program = command.as_std().get_program();
        Self::Start {
            program: program.to_string_lossy().into_owned(),
            source,
        }
    }
}
