//! Handlers that end their process, or try to.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reefguide_worker::handler::WithheldVariables;
use reefguide_worker::job::JobType;
use reefguide_worker::prelude::*;
use reefguide_worker::source::reefguide::Client;

/// An extension for all handlers.
pub(crate) struct Reef(pub(crate) &'static str);

/// What a job does.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Does {
    /// Returns what it finds in its context, and writes an output.
    Well {
        /// Returned unchanged.
        number: f64,
    },
    /// Sends a signal to its process.
    Signal(String),
    Abort,
    /// Allocates more memory than there is.
    Exhaust,
    /// Calls itself until the stack is full.
    Overflow,
    Exit(i32),
    Panic,
    /// Fails with a permanent error.
    Fail,
    /// Fails twice with a retryable error.
    FailTwice,
    /// Holds this much memory until it is cancelled.
    Hog {
        mib: usize,
    },
    /// Writes to stdout, stderr and the log, and reads stdin.
    Chatter,
    /// Runs a shell script as its program.
    Script(String),
    /// Returns the size of an object.
    Read(StorageUri),
    /// Logs presigned URLs that read an object and replace it.
    Share(StorageUri),
    /// Fetches an input, and returns its path and size.
    Fetch {
        source: StorageUri,
        /// Makes payloads distinct: the API answers an equal one with the job that exists.
        #[expect(dead_code, reason = "only has to differ")]
        number: usize,
    },
    /// Returns while a blocking thread of tokio still runs.
    Linger,
    /// Returns, and aborts the process when the runtime is dropped.
    Crumble,
    /// Waits until it is cancelled, and then cleans up.
    Wait {
        /// A named pipe that it and its program hold open.
        pipe: PathBuf,
    },
    /// Waits for ever and ignores its cancellation.
    Sleep {
        pipe: PathBuf,
    },
    /// Blocks its thread for ever.
    Spin {
        pipe: PathBuf,
    },
    /// Runs a program with children that all ignore every signal that can be ignored.
    Stubborn {
        pipe: PathBuf,
    },
    /// Crashes its process while a program runs.
    Desert {
        pipe: PathBuf,
    },
}

/// Does it in its own process, for two job types.
pub(crate) struct Crash {
    pub(crate) job_type: &'static str,
}

impl JobHandler for Crash {
    const JOB_TYPE: &'static str = "CRASH";
    type Input = Does;
    type Output = serde_json::Value;

    fn job_type(&self) -> JobType {
        self.job_type.into()
    }

    fn isolated(&self) -> bool {
        true
    }

    async fn handle(&self, does: Does, ctx: &JobContext) -> Result<serde_json::Value, JobError> {
        crash(does, ctx).await
    }
}

/// Sends a signal to its process.
pub(crate) struct BlockingCrash;

impl BlockingJobHandler for BlockingCrash {
    const JOB_TYPE: &'static str = "BLOCKING_CRASH";
    type Input = String;
    type Output = ();

    fn isolated(&self) -> bool {
        true
    }

    fn handle(&self, name: String, _: &BlockingContext) -> Result<(), JobError> {
        signal(&name);
        Ok(())
    }
}

pub(crate) async fn crash(does: Does, ctx: &JobContext) -> Result<serde_json::Value, JobError> {
    match does {
        Does::Well { number } => {
            ctx.outputs().write("well.txt", "well").await?;
            let reef = ctx
                .extension::<Reef>()
                .ok_or(JobError::permanent("no reef"))?;
            return Ok(json!({
                "number": number,
                "reef": reef.0,
                "job": ctx.job().id,
                "assignment": ctx.assignment().id,
                "attempt": ctx.attempt(),
                "seconds": ctx.remaining().map(|left| left.as_secs()),
                "scratch": std::fs::read_dir(ctx.scratch())?.count(),
                "client": ctx.extension::<Client>().is_some(),
                "withheld": ctx.extension::<WithheldVariables>().is_some(),
                "process": std::process::id(),
            }));
        }
        Does::Signal(name) => {
            tracing::warn!(name, "sending a signal");
            signal(&name);
        }
        Does::Abort => {
            eprint!("double free or corruption");
            std::process::abort();
        }
        Does::Exhaust => drop(Vec::<u8>::with_capacity(isize::MAX.unsigned_abs())),
        Does::Overflow => drop(deeper(0)),
        Does::Exit(code) => std::process::exit(code),
        Does::Panic => panic!("a reef is missing"),
        Does::Fail => return Err(JobError::permanent("there are no depths").context("mean")),
        Does::FailTwice if ctx.attempt() < 3 => return Err(JobError::retryable("tide is out")),
        Does::FailTwice => {}
        Does::Hog { mib } => {
            let memory = vec![1_u8; mib << 20];
            tracing::info!(pid = std::process::id(), "holds much");
            ctx.cancellation().cancelled().await;
            tracing::info!(bytes = memory.len(), "held much");
        }
        Does::Chatter => {
            println!("{}", json!({ "Returned": "nonsense" }));
            eprintln!("said on stderr");
            tracing::info!(depth = -4, "said in the log");
            let mut input = String::new();
            std::io::stdin().read_line(&mut input)?;
            return Ok(json!({ "input": input }));
        }
        Does::Script(script) => {
            let shell = Program::new("sh").args(["-c", &script]);
            return shell.run(&(), ctx).await;
        }
        Does::Read(source) => {
            let bytes = ctx.storage().read(&source, 1 << 20).await?;
            return Ok(json!({ "bytes": bytes.len() }));
        }
        Does::Share(object) => {
            let time = Duration::from_secs(60);
            let urls = [
                ctx.storage().presign_get(&object, time).await?,
                ctx.storage().presign_put(&object, time).await?,
            ];
            tracing::info!(?urls, "shared");
        }
        Does::Fetch { source, .. } => {
            let input = ctx.fetch(&source).await?;
            let bytes = std::fs::read(&input)?.len();
            return Ok(json!({ "path": input.path(), "bytes": bytes }));
        }
        Does::Linger => {
            tokio::task::spawn_blocking(std::thread::park);
        }
        Does::Crumble => {
            let ruin = Ruin;
            tokio::spawn(async move {
                let _ruin = ruin;
                std::future::pending::<()>().await;
            });
        }
        Does::Wait { pipe } => {
            let mut file = File::options().write(true).open(&pipe)?;
            writeln!(file, "waiting")?;
            let program = hold(&pipe, "sleep 600");
            let _ = program.run::<_, serde_json::Value>(&(), ctx).await;
            ctx.cancellation().cancelled().await;
            writeln!(file, "tidied up")?;
        }
        Does::Sleep { pipe } => {
            let mut file = File::options().write(true).open(&pipe)?;
            writeln!(file, "sleeping")?;
            let _farewell = Farewell(file);
            std::future::pending::<()>().await;
        }
        Does::Spin { pipe } => {
            let mut file = File::options().write(true).open(&pipe)?;
            writeln!(file, "spinning")?;
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        Does::Stubborn { pipe } => {
            let script = "trap '' TERM HUP INT; (sh -c 'sleep 600' & sleep 600) & sleep 600; wait";
            let program = hold(&pipe, script);
            program.run::<_, serde_json::Value>(&(), ctx).await?;
        }
        Does::Desert { pipe } => {
            let program = hold(&pipe, &format!("{}; sleep 600", killing("SEGV")));
            program.run::<_, serde_json::Value>(&(), ctx).await?;
        }
    }
    Ok(json!({}))
}

/// Calls itself until the stack overflows.
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 1024]);
    match depth {
        u64::MAX => depth,
        _ => deeper(depth + 1) + frame[0],
    }
}

/// Writes to the pipe when it is dropped.
struct Farewell(File);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = writeln!(self.0, "dropped");
    }
}

/// Ends the process when it is dropped.
struct Ruin;

impl Drop for Ruin {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// A program that holds a pipe open.
fn hold(pipe: &std::path::Path, script: &str) -> Program {
    let script = format!("exec 9>'{}'; echo running >&9; {script}", pipe.display());
    Program::new("sh").args(["-c", &script])
}

fn signal(name: &str) {
    let _ = Command::new("sh").args(["-c", &killing(name)]).status();
}

/// A script that kills its parent. It repeats the signal, because Rust's handler ignores the first SEGV that was sent,
/// and writes nothing, because a write would kill it once the pipe has no reader.
fn killing(signal: &str) -> String {
    format!("while kill -{signal} $PPID 2>/dev/null; do sleep 0.01; done")
}
