//! The command that starts a program: its folders, files and environment.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::Program;
use super::search_path::{SearchPath, is_bare};
use crate::handler::JobContext;
use crate::scratch;
use crate::trace;

/// Names of environment variables that a [`Program`] does not inherit. Give them to the worker as an
/// [`extension`](crate::handler::Registry::extension).
///
/// A program, its libraries and its log must not see the worker's password. A worker started by [`run`](crate::run)
/// withholds the secrets of its configuration and the variables named here.
///
/// ```
/// use reefguide_worker::handler::WithheldVariables;
/// use reefguide_worker::prelude::*;
///
/// let handlers = Registry::new()
///     .extension(WithheldVariables::from_iter(["TIDE_DATABASE_PASSWORD"]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithheldVariables(Vec<String>);

impl<T: Into<String>> FromIterator<T> for WithheldVariables {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl WithheldVariables {
    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Program {
    /// The folders to search for the program, from the `PATH` that it will have.
    pub(super) fn search_path(&self) -> io::Result<SearchPath> {
        let set = self.env.iter().rev().find(|(name, _)| name == "PATH");
        let set = set.map(|(_, path)| path.clone());
        SearchPath::new(set.or_else(|| env::var_os("PATH")))
    }

    pub(super) fn command(
        &self,
        file: &Path,
        search_path: &SearchPath,
        folder: &RunFolder,
        ctx: &JobContext,
    ) -> io::Result<Command> {
        let outputs = std::path::absolute(ctx.outputs().folder())?;
        fs::create_dir_all(&outputs)?;
        let scratch = std::path::absolute(ctx.scratch())?;
        let trace = trace::headers().into_iter();
        let mut command = Command::new(file);
        if is_bare(Path::new(&self.program)) && search_path.has_in_path(file) {
            // As a shell does.
            command.arg0(&self.program);
        }
        command
            .args(&self.args)
            .current_dir(folder.work())
            // A file and not a pipe, so that the worker need not write while the program does not read.
            .stdin(File::open(folder.input())?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in ctx
            .extension::<WithheldVariables>()
            .iter()
            .flat_map(|names| &names.0)
        {
            command.env_remove(name);
        }
        match ctx.remaining() {
            Some(left) => command.env("JOB_DEADLINE_SECONDS", left.as_secs().to_string()),
            None => command.env_remove("JOB_DEADLINE_SECONDS"),
        };
        command
            .env("JOB_INPUT", folder.input())
            .env("JOB_OUTPUT_DIR", outputs)
            .env("JOB_RESULT", folder.result())
            .env("JOB_SCRATCH", &scratch)
            .env("TMPDIR", scratch)
            .env("JOB_ID", ctx.job().id.to_string())
            .env("JOB_TYPE", ctx.job().job_type.as_str())
            .env("JOB_ASSIGNMENT_ID", ctx.assignment().id.to_string())
            .env("JOB_ATTEMPT", ctx.attempt().to_string())
            .env_remove("TRACEPARENT")
            .env_remove("TRACESTATE")
            .envs(trace.map(|(name, value)| (name.to_ascii_uppercase(), value)))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            // The program runs in another folder than the worker.
            .envs(search_path.absolute_path().map(|path| ("PATH", path)));
        Ok(command)
    }
}

/// The folder of one run of a program. It is removed when this is dropped.
pub(super) struct RunFolder(scratch::Folder);

impl RunFolder {
    pub(super) fn create(ctx: &JobContext, input: &[u8]) -> io::Result<Self> {
        let scratch = std::path::absolute(ctx.scratch())?;
        let folder = Self(scratch::Folder::new_in(&scratch, "program-")?);
        fs::create_dir(folder.work())?;
        fs::write(folder.input(), input)?;
        Ok(folder)
    }

    pub(super) fn work(&self) -> PathBuf {
        self.0.path().join("work")
    }

    pub(super) fn input(&self) -> PathBuf {
        self.0.path().join("input.json")
    }

    pub(super) fn result(&self) -> PathBuf {
        self.0.path().join("result.json")
    }
}
