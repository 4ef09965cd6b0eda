//! Programs in other languages that do a handler's work.

mod command;
mod executable;
mod hint;
mod result;
mod search_path;
mod shebang;

pub use command::WithheldVariables;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::command::RunFolder;
use self::executable::why_not_executable;
use self::hint::script_hint;
use super::process::{Followed, ProcessGroup, Tail, follow, log};
use super::{JobContext, JobError};
use crate::finite;

/// A program that does the work of a handler: a script in Python, R or Julia, or any executable.
///
/// ```no_run
/// use reefguide_worker::prelude::*;
///
/// #[derive(Deserialize, Serialize, JsonSchema)]
/// struct Input {
///     photo: StorageUri,
/// }
///
/// #[derive(Deserialize, Serialize, JsonSchema)]
/// struct Output {
///     corals: u32,
/// }
///
/// struct CoralCount;
///
/// impl JobHandler for CoralCount {
///     const JOB_TYPE: &'static str = "CORAL_COUNT";
///     type Input = Input;
///     type Output = Output;
///
///     async fn handle(&self, input: Input, ctx: &JobContext) -> Result<Output, JobError> {
///         Program::new("python3")
///             .arg(std::path::absolute("programs/coral_count.py")?)
///             .run(&input, ctx)
///             .await
///     }
/// }
/// ```
///
/// # What the program receives
/// - The input as JSON, on stdin and in the file `JOB_INPUT`. The program need not read stdin.
/// - An empty current directory, which is removed after the run. A relative path in an argument therefore does not
///   name a file in the worker's folder.
/// - The worker's environment without the [`WithheldVariables`], and these variables. All paths are absolute:
///
/// | variable | value |
/// | --- | --- |
/// | `JOB_INPUT` | the file with the input |
/// | `JOB_OUTPUT_DIR` | the folder for output files, the same as [`JobContext::outputs`] |
/// | `JOB_RESULT` | the file to write the result to, as JSON |
/// | `JOB_SCRATCH`, `TMPDIR` | [`JobContext::scratch`], for temporary files |
/// | `JOB_ID`, `JOB_TYPE` | the job's id and type |
/// | `JOB_ASSIGNMENT_ID` | the assignment's id |
/// | `JOB_ATTEMPT` | which attempt this is, counted from 1 |
/// | `JOB_DEADLINE_SECONDS` | whole seconds left at the start; unset without a limit |
/// | `TRACEPARENT`, `TRACESTATE` | the job's trace in W3C Trace Context format; unset without a trace |
///
/// # What the program returns
/// - Output files in `JOB_OUTPUT_DIR`: plain files, also in subfolders. They are stored with the files that the handler
///   writes.
/// - The result in `JOB_RESULT`, 16 MiB at most. Without this file the result is `{}`.
/// - Lines on stdout and stderr. The worker logs them as they are written; they need not be UTF-8. A line of more than
///   8 KiB is logged in pieces. If a line overwrites itself with carriage returns, as progress bars do, its last state
///   is logged.
/// - An exit code:
///
/// | code | meaning |
/// | --- | --- |
/// | 0 | success |
/// | 75 (`EX_TEMPFAIL`) | a retryable error |
/// | any other code, or a signal | a permanent error, which quotes the last lines of stderr |
///
/// # How the program ends
/// The program runs in its own process group. When the job is cancelled, the worker sends SIGTERM to the group, and
/// SIGKILL 0.7 s later, or earlier if the worker has less time. When the program has ended, the worker kills the
/// processes that it left running in its group. When the future is dropped, it kills the whole group at once. A process
/// that leaves the group is not killed; the worker reads its output for one more second.
///
/// If the worker itself is killed, a waiting shell kills the group, and also processes that left it, unless they removed
/// the variable `REEFGUIDE_WORKER_GUARD` from their environment. Without `/bin/sh` they keep running.
#[derive(Clone)]
#[must_use = "a program does nothing until it is run"]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Program {
    /// A program, by name or by path.
    ///
    /// A name is searched for in the folders of `PATH`, then in the folder of the worker's executable. A relative path is
    /// searched for in the worker's current folder, then in the folder of its executable, then in the folders of
    /// `PATH`. The first file that can be executed is used. Relative folders in `PATH` start at the worker's current
    /// folder, also for the program itself.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    /// Sets an environment variable, even one of the [`WithheldVariables`].
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let variable = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.push(variable);
        self
    }

    /// Runs the program on an input and returns its result.
    ///
    /// # Errors
    /// If the program fails, if its result is not JSON or does not fit `O` (the error names the place), if an output
    /// cannot be published ([`Outputs::manifest`]), and if the job is cancelled. If the program cannot be started, the
    /// error is retryable, and a worker keeps trying until it can, without failing the job.
    ///
    /// # Cancel safety
    /// Dropping the future kills the program and everything it started.
    ///
    /// [`Outputs::manifest`]: crate::storage::Outputs::manifest
    pub async fn run<I, O>(&self, input: &I, ctx: &JobContext) -> Result<O, JobError>
    where
        I: Serialize + Sync + ?Sized,
        O: DeserializeOwned,
    {
        ctx.check_cancelled()?;
        let preparing = || format!("preparing to run {self}");
        finite::check(input)
            .map_err(|error| JobError::permanent(format!("input of {self} {error}")))?;
        let input = serde_json::to_vec(input)
            .map_err(|error| JobError::from(error).context(preparing()))?;
        let not_prepared = |error: io::Error| JobError::not_started(error).context(preparing());
        let search_path = self.search_path().map_err(not_prepared)?;
        let file = search_path
            .find(&self.program)
            .map_err(|error| JobError::not_started(format!("cannot start {self}: {error}")))?;
        let prepare = || {
            let folder = RunFolder::create(ctx, &input)?;
            let command = self.command(&file, &search_path, &folder, ctx)?;
            io::Result::Ok((folder, command))
        };
        let (folder, mut command) = prepare().map_err(not_prepared)?;
        // Declared after the folder and so dropped before it: the program ends before its folder is removed.
        let mut group =
            ProcessGroup::start(&mut command).map_err(|error| self.not_started(&file, &error))?;
        let mut tail = Tail::default();
        let status = self.follow(&mut group, &mut tail, ctx).await?;
        drop(group);
        let hint = status.code().filter(|code| *code != 0);
        let hint = hint.and_then(|code| script_hint(&file, code, &search_path));
        self.check(status, tail, hint)?;
        ctx.outputs().manifest().await?;
        self.result(&folder.result())
    }

    fn not_started(&self, file: &Path, error: &io::Error) -> JobError {
        use io::ErrorKind::{ArgumentListTooLong, InvalidFilename, InvalidInput};

        let reason = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::ACCESS | Errno::NOEXEC) => why_not_executable(file),
            _ => None,
        };
        let reason = reason.map_or_else(
            || error.to_string(),
            |reason| match file == Path::new(&self.program) {
                true => format!("it {reason}"),
                false => format!("{} {reason}", file.display()),
            },
        );
        let (kind, error) = (error.kind(), format!("cannot start {self}: {reason}"));
        match kind {
            // The arguments may come from the job.
            ArgumentListTooLong | InvalidFilename | InvalidInput => JobError::permanent(error),
            // No room for another process, or no such program: later there may be.
            _ => JobError::not_started(error),
        }
    }

    /// Logs the program's output until it ends.
    async fn follow(
        &self,
        group: &mut ProcessGroup,
        tail: &mut Tail,
        ctx: &JobContext,
    ) -> Result<ExitStatus, JobError> {
        let leader = group.leader();
        tracing::info!(program = %self, pid = leader.id(), "program started");
        let (stdout, stderr) = (leader.stdout.take(), leader.stderr.take());
        let stdout = log("stdout", stdout, |_| {});
        let stderr = log("stderr", stderr, |line| tail.push(line));
        let reading = async { tokio::join!(stdout, stderr) };
        let Followed { status, read } =
            follow(group, reading, ctx.cancellation().cancelled()).await;
        match read {
            Some((stdout, stderr)) => stdout.and(stderr).map_err(|error| {
                JobError::from(error).context(format!("reading the output of {self}"))
            })?,
            None => {
                tracing::warn!(program = %self, "a process that the program started still runs, its output is not logged");
            }
        }
        status
            .ok_or_else(|| JobError::permanent("cancelled"))?
            .map_err(|error| JobError::from(error).context(format!("waiting for {self}")))
    }
}

/// The program's name or path, as it was given.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.display().fmt(f)
    }
}

/// Omits the values of variables, which may be secrets.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Program")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &names)
            .finish()
    }
}
