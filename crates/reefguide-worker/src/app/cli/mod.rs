//! The worker's command line: `run` (the default), `handle`, `schema`, `check`, `healthcheck`.

mod check;
mod command_error;
mod files;
mod handle;
mod invocation;
mod isolated;
mod run;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::command_error::CommandError;
use self::files::Files;
use self::invocation::{Invocation, listen};
use super::Exit;
use super::config::{Config, Variable};
use super::health;
use super::reporting::ProgramInfo;
use super::stdout::{answer, written};
use crate::Chain;
use crate::handler::{Extensions, Registry, WithheldVariables};

/// Runs jobs of the ReefGuide API until it is stopped or has been idle for a while.
#[derive(Debug, Parser)]
#[command(
    version,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = false
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Claims jobs and runs them; the default command
    Run(run::Run),
    /// Runs one handler on a payload from a file, without the API
    ///
    /// Prints the result and leaves the output files in a folder. Inputs come from S3 as configured, or
    /// from a folder.
    Handle(handle::Handle),
    /// Prints the JSON Schemas of all handlers' inputs and outputs
    Schema {
        /// Only this job type.
        job_type: Option<String>,
    },
    /// Tries configuration, API, account, bucket, scratch folder and cache, and reports what is wrong
    Check,
    /// Asks the worker on this machine for its health, for containers without curl
    Healthcheck,
    /// Runs one handler for the worker that has started this process
    #[command(hide = true)]
    Isolated {
        /// As for `handle`.
        #[arg(long)]
        storage_dir: Option<PathBuf>,
    },
}

/// Runs the command that the arguments name.
pub(super) async fn dispatch(
    handlers: Registry,
    version: Option<String>,
    args: &[OsString],
) -> Exit {
    let cli = match parse(args, version.as_deref()) {
        Ok(cli) => cli,
        Err(error) => {
            // clap returns help and version as errors, and prints them to stdout.
            let printed = error.print().and_then(|()| std::io::stdout().flush());
            return match (error.use_stderr(), written(printed)) {
                (true, _) => Exit::Usage,
                (false, Ok(())) => Exit::Done,
                (false, Err(error)) => CommandError::from(error).print(),
            };
        }
    };
    let withheld = withheld(&handlers.extensions);
    let mut program = Invocation {
        handlers: handlers.extension(withheld),
        files: cli.files,
        program: ProgramInfo {
            name: name(args),
            version,
        },
    };
    let command = cli.command.unwrap_or(Command::Run(run::Run::default()));
    if !matches!(command, Command::Isolated { .. }) {
        program.handlers.launcher = program.launcher(args.first()).ok();
    }
    let is_run = matches!(command, Command::Run(_));
    let done = match command {
        Command::Run(run) => program.run(run).await,
        Command::Handle(handle) => Box::pin(program.handle(handle)).await,
        Command::Schema { job_type } => program.schema(job_type.as_deref()),
        Command::Check => program.check().await,
        Command::Healthcheck => program.healthcheck().await,
        Command::Isolated { storage_dir } => program.isolated(storage_dir).await,
    };
    done.unwrap_or_else(|problem| {
        // The log of a run says why it ended.
        if is_run && tracing::enabled!(tracing::Level::ERROR) {
            let CommandError { exit, message } = problem;
            tracing::error!("{message}");
            return exit;
        }
        problem.print()
    })
}

/// The program's name.
fn name(args: &[OsString]) -> String {
    let name = args.first().map(Path::new).and_then(Path::file_name);
    name.and_then(|name| name.to_str())
        .unwrap_or("worker")
        .to_owned()
}

fn parse(args: &[OsString], version: Option<&str>) -> Result<Cli, clap::Error> {
    let name = name(args);
    let library = concat!("with reefguide-worker ", env!("CARGO_PKG_VERSION"));
    let version = version.map_or_else(|| library.into(), |version| format!("{version} {library}"));
    let matches = Cli::command()
        .name(name.clone())
        .bin_name(name)
        .version(version)
        .after_long_help(variables())
        .try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// The settings, as the long help lists them.
fn variables() -> String {
    let mut text = String::from(
        "Settings, from the environment, the file of environment variables, or the settings file \
         (names in lower case), in this order:\n",
    );
    for variable in Config::variables() {
        let _ = write!(
            text,
            "\n  {}\n          {} [{}]\n",
            variable.name, variable.description, variable.when_unset
        );
    }
    text
}

/// The variables that are withheld from the programs of handlers: those that the author names, and the worker's secrets.
fn withheld(extensions: &Extensions) -> WithheldVariables {
    let named = extensions.get::<WithheldVariables>();
    let named = named.iter().flat_map(|named| named.names());
    // With half a pair of AWS keys, the AWS libraries would not look for the task's role.
    let secret = |variable: &&Variable| variable.secret || variable.name == "AWS_ACCESS_KEY_ID";
    let secrets = Config::variables().iter().filter(secret);
    named.chain(secrets.map(|variable| variable.name)).collect()
}

impl Invocation {
    fn schema(&self, job_type: Option<&str>) -> Result<Exit, CommandError> {
        listen()?;
        let mut schemas = self.handlers.schemas();
        if let Some(job_type) = job_type {
            schemas.retain(|handled, _| handled.as_str() == job_type);
            if schemas.is_empty() {
                return Err(self.unhandled(job_type));
            }
        }
        let text = serde_json::to_string_pretty(&schemas)
            .map_err(|error| CommandError::new(Exit::Internal, error.to_string()))?;
        answer(text)?;
        Ok(Exit::Done)
    }

    async fn healthcheck(&self) -> Result<Exit, CommandError> {
        listen()?;
        let Some(port) = self.load_without_api()?.port else {
            let message = "PORT is not set, so no worker serves its health; set PORT for the worker \
                           and for this command";
            return Err(CommandError::new(Exit::Config, message));
        };
        match health::probe(port).await {
            Ok(()) => {
                answer("healthy")?;
                Ok(Exit::Done)
            }
            Err(error) => Err(CommandError::new(Exit::Failed, Chain(&error).to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use serde_json::Value;

    use super::*;
    use crate::handler::{JobContext, Program};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Set for the child process whose variables are read.
    const CHILD: &str = "REEFGUIDE_WORKER_TEST_CHILD";

    /// A worker whose handler writes the variables of a program to a file.
    #[tokio::test]
    async fn child_with_secrets() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let handlers = Registry::new()
            .extension(WithheldVariables::from_iter(["TIDE_PASSWORD"]))
            .handler_fn("ENV", |input: Value, ctx: JobContext| async move {
                let program = Program::new("sh");
                let program = program.args(["-c", "env >\"$JOB_OUTPUT_DIR/env\""]);
                program.run::<_, Value>(&input, &ctx).await
            });
        let args = "worker handle ENV --input - --output-dir out".split(' ');
        let args: Vec<_> = args.map(OsString::from).collect();
        let exit = dispatch(handlers, None, &args).await;
        assert_eq!(exit.code(), 0);
    }

    #[test]
    fn the_program_of_a_handler_sees_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let payload = folder.path().join("payload.json");
        std::fs::write(&payload, "{}").unwrap();
        let secrets = Config::variables()
            .iter()
            .filter(|variable| variable.secret);
        let secrets = secrets.map(|variable| variable.name);
        let child = process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "app::cli::tests::child_with_secrets"])
            .envs(
                secrets
                    .chain(["TIDE_PASSWORD"])
                    // Headers have to be pairs.
                    .map(|name| (name, "key=secret")),
            )
            .env("AWS_ACCESS_KEY_ID", "half a pair")
            .env("MINIO_USERNAME", "minio")
            .env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/role")
            .env(CHILD, "1")
            .current_dir(&folder)
            .stdin(std::fs::File::open(payload).unwrap())
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        let seen = std::fs::read_to_string(folder.path().join("out/env")).unwrap();
        assert!(!seen.contains("=secret"), "{seen}");
        assert!(!seen.contains("AWS_ACCESS_KEY_ID"), "{seen}");
        assert!(
            seen.contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/role"),
            "{seen}"
        );
    }
}
