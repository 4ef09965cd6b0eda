//! What a program is given: folders, files, environment.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::Program;
use super::lookup::{Places, is_bare};
use crate::handler::JobContext;
use crate::scratch;
use crate::trace;

/// Names of environment variables that a [`Program`] does not inherit, given to the worker as an
/// [`extension`](crate::handler::Registry::extension).
///
/// A program, every library in it, and the log it writes must not see the worker's password. A worker
/// started by [`run`](crate::run) withholds the secrets of its configuration, together with those named here.
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
    /// The folders to look for the program in, by the `PATH` that it is given.
    pub(super) fn places(&self) -> io::Result<Places> {
        let given = self.env.iter().rev().find(|(name, _)| name == "PATH");
        let given = given.map(|(_, path)| path.clone());
        Places::new(given.or_else(|| env::var_os("PATH")))
    }

    pub(super) fn command(
        &self,
        file: &Path,
        places: &Places,
        folder: &Folder,
        ctx: &JobContext,
    ) -> io::Result<Command> {
        let outputs = std::path::absolute(ctx.outputs().folder())?;
        fs::create_dir_all(&outputs)?;
        let scratch = std::path::absolute(ctx.scratch())?;
        let trace = trace::headers().into_iter();
        let mut command = Command::new(file);
        if is_bare(Path::new(&self.program)) && places.has_in_path(file) {
            // As a shell would.
            command.arg0(&self.program);
        }
        command
            .args(&self.args)
            .current_dir(folder.work())
            // The file and no pipe: nobody has to feed it, and it need not be read.
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
            // It runs in another folder than the worker.
            .envs(places.absolute_path().map(|path| ("PATH", path)));
        Ok(command)
    }
}

/// A run's folder, removed when dropped.
pub(super) struct Folder(scratch::Folder);

impl Folder {
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
