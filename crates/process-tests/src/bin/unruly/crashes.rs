//! Handlers that end their process, or would.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reefguide_worker::handler::WithheldVariables;
use reefguide_worker::job::JobType;
use reefguide_worker::prelude::*;
use reefguide_worker::source::reefguide::Client;

/// Something that is given to all handlers.
pub(crate) struct Reef(pub(crate) &'static str);

/// What a job does.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Does {
    /// Says what it was given, and writes an output.
    Well {
        /// To be returned as it is.
        number: f64,
    },
    /// Sends a signal to its process.
    Signal(String),
    Abort,
    /// Asks for more memory than there is.
    Exhaust,
    /// Calls itself until the stack is full.
    Overflow,
    Exit(i32),
    Panic,
    /// Fails for good.
    Fail,
    /// Fails for now, twice.
    FailTwice,
    /// Takes so much memory, and waits.
    Hog {
        mib: usize,
    },
    /// Uses all ways to write.
    Chatter,
    /// Has a shell do a script.
    Script(String),
    /// Says how large an object is.
    Read(StorageUri),
    /// Signs URLs for others to read an object with, and to replace it.
    Share(StorageUri),
    /// Says where an input is, and how large.
    Fetch {
        source: StorageUri,
        /// Tells one job from another: an equal one would not be done again.
        #[expect(dead_code, reason = "nothing comes of it")]
        number: usize,
    },
    /// Returns while a thread of tokio's goes on.
    Linger,
    /// Returns, and ends the process by the by.
    Crumble,
    /// Waits until it is cancelled, and then tidies up.
    Wait {
        /// A named pipe that is held open meanwhile, also by a program.
        pipe: PathBuf,
    },
    /// Waits and does not look whether it is cancelled.
    Sleep {
        pipe: PathBuf,
    },
    /// Computes and listens to nobody.
    Spin {
        pipe: PathBuf,
    },
    /// Runs a program that has children, and all of them listen to no signal that can be ignored.
    Stubborn {
        pipe: PathBuf,
    },
    /// Ends its process while a program runs.
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

/// Calls itself with ever more on the stack.
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 1024]);
    match depth {
        u64::MAX => depth,
        _ => deeper(depth + 1) + frame[0],
    }
}

/// Says when it is dropped.
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

/// A script that ends its parent. Again and again, since Rust takes a first SEGV that was sent for a
/// mistake; quietly, since it would end itself by writing when nobody reads any more.
fn killing(signal: &str) -> String {
    format!("while kill -{signal} $PPID 2>/dev/null; do sleep 0.01; done")
}
