//! A handler's work done by a program in another language.

mod given;
mod lookup;
mod obstacle;
mod outcome;

pub use given::WithheldVariables;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::given::Folder;
use self::obstacle::{obstacle, script_obstacle};
use super::process::{Followed, Group, Tail, follow, log};
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
/// # What the program is given
/// - On stdin the input as JSON; it need not be read. The same is in the file `JOB_INPUT`.
/// - An empty folder of its own as the current directory. It is removed after the run, so a relative
///   argument does not name a file of the worker's.
/// - The worker's environment, without the [`WithheldVariables`], and these variables; all paths are
///   absolute:
///
/// | variable | value |
/// | --- | --- |
/// | `JOB_INPUT` | the file with the input |
/// | `JOB_OUTPUT_DIR` | the folder for output files, which is that of [`JobContext::outputs`] |
/// | `JOB_RESULT` | the file to write the result to, as JSON |
/// | `JOB_SCRATCH`, `TMPDIR` | [`JobContext::scratch`], for temporary files |
/// | `JOB_ID`, `JOB_TYPE` | of the job |
/// | `JOB_ASSIGNMENT_ID` | of the assignment |
/// | `JOB_ATTEMPT` | which attempt this is, counted from 1 |
/// | `JOB_DEADLINE_SECONDS` | whole seconds left at the start; unset when nothing limits them |
/// | `TRACEPARENT`, `TRACESTATE` | the job's trace, as W3C Trace Context has it; unset when there is none |
///
/// # What it gives
/// - Output files in `JOB_OUTPUT_DIR`, plain files, in folders if need be. They are outputs like those
///   that the handler writes.
/// - The result in `JOB_RESULT`, of 16 MiB at most. With no such file it is `{}`.
/// - Lines on stdout and stderr, which go into the job's log as they are written. They need not be
///   UTF-8. A line of more than 8 KiB is logged in pieces; of a line that overwrites itself with
///   carriage returns, as progress bars do, its last state is logged.
/// - Its exit code:
///
/// | code | meaning |
/// | --- | --- |
/// | 0 | success |
/// | 75 (`EX_TEMPFAIL`) | failed for now: a retryable error |
/// | any other, or a signal | failed for good; the error quotes the last lines of stderr |
///
/// # How it ends
/// It runs in a process group of its own. When the job is cancelled the group gets SIGTERM, and 0.7 s
/// later SIGKILL, or earlier if the worker is short of time. When the program has ended, whatever it
/// left running in its group is killed, and when the future is dropped the whole group is killed at
/// once. Only a process that leaves the group escapes this; its output is read for a second more. When the
/// worker is killed, the group is killed by a shell that stands by for that, and so is what has left the group, as long
/// as it keeps the variable `REEFGUIDE_WORKER_GUARD`; where there is no `/bin/sh` it runs on.
#[derive(Clone)]
#[must_use = "a program does nothing until it is run"]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Program {
    /// A program by its name, or by its path.
    ///
    /// A name is looked for in the folders of `PATH` and then in that of the worker's own program. A relative path is
    /// looked for from the folder that the worker runs in, from that of its own program, and from those of `PATH`.
    /// What comes first and can be executed is taken. Relative folders in `PATH` are those of the worker, also for the
    /// program itself.
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

    /// Sets an environment variable, also one that is withheld otherwise.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let variable = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.push(variable);
        self
    }

    /// Runs the program on an input and returns its result.
    ///
    /// # Errors
    /// A program that cannot be started, which in a worker fails no job but is waited out; one that fails; a result that is not JSON, or does not fit, with
    /// the place; an output that cannot be published ([`Outputs::manifest`]); cancellation.
    ///
    /// # Cancel safety
    /// When the future is dropped, the program is killed with everything it started.
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
        let not_prepared = |error: io::Error| JobError::workers(error).context(preparing());
        let places = self.places().map_err(not_prepared)?;
        let file = places
            .find(&self.program)
            .map_err(|error| JobError::workers(format!("cannot start {self}: {error}")))?;
        let prepare = || {
            let folder = Folder::create(ctx, &input)?;
            let command = self.command(&file, &places, &folder, ctx)?;
            io::Result::Ok((folder, command))
        };
        let (folder, mut command) = prepare().map_err(not_prepared)?;
        // After the folder: the program is killed before its folder is removed.
        let mut group =
            Group::start(&mut command).map_err(|error| self.not_started(&file, &error))?;
        let mut tail = Tail::default();
        let status = self.follow(&mut group, &mut tail, ctx).await?;
        drop(group);
        let hint = status.code().filter(|code| *code != 0);
        let hint = hint.and_then(|code| script_obstacle(&file, code, &places));
        self.check(status, tail, hint)?;
        ctx.outputs().manifest().await?;
        self.result(&folder.result())
    }

    fn not_started(&self, file: &Path, error: &io::Error) -> JobError {
        use io::ErrorKind::{ArgumentListTooLong, InvalidFilename, InvalidInput};

        let found = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::ACCESS | Errno::NOEXEC) => obstacle(file),
            _ => None,
        };
        let found = found.map_or_else(
            || error.to_string(),
            |obstacle| match file == Path::new(&self.program) {
                true => format!("it {obstacle}"),
                false => format!("{} {obstacle}", file.display()),
            },
        );
        let said = format!("cannot start {self}: {found}");
        match error.kind() {
            // What it was to be called with may come from the job.
            ArgumentListTooLong | InvalidFilename | InvalidInput => JobError::permanent(said),
            // There is no room for another process, or no such program: another time there may be.
            _ => JobError::workers(said),
        }
    }

    /// Logs what the program writes until it has ended.
    async fn follow(
        &self,
        group: &mut Group,
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
                JobError::from(error).context(format!("reading what {self} writes"))
            })?,
            None => tracing::warn!(program = %self, "a process that it started runs on, unheard"),
        }
        status
            .ok_or_else(|| JobError::permanent("cancelled"))?
            .map_err(|error| JobError::from(error).context(format!("waiting for {self}")))
    }
}

/// What messages call it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.display().fmt(f)
    }
}

/// Without the values of variables, which may be secrets.
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
