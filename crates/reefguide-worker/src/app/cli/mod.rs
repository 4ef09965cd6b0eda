//! The worker's command line: `run` (the default), `handle`, `schema`, `check`, `healthcheck`.

mod check;
mod handle;
mod isolated;
mod problem;
mod run;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::problem::{Problem, api_problem, bucket_problem, cache_problem, scratch_problem};
use super::Exit;
use super::config::{Config, ConfigError, ConfigSources, Variable};
use super::reporting::{Reporting, Service};
use super::signals::{self, Signals};
use super::stdout::{answer, written};
use super::telemetry::{self, TelemetryOptions};
use super::{health, paths, process_memory};
use crate::Chain;
use crate::handler::{Extensions, WithheldVariables};
use crate::job::JobType;
use crate::log_queue;
use crate::runtime::{JobLogs, WorkerBuilder, thread_is_lost};
use crate::source::reefguide::{ApiError, Client, ClientBuilder};
use crate::storage::{S3Options, Storage};

/// Works on jobs of the ReefGuide API, until it is told to stop or has been idle for a while.
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

/// How long the program may take to end after [`main`](WorkerBuilder::main), if a handler blocks a thread of it.
const RUNTIME_END: Duration = Duration::from_secs(1);

#[derive(Args, Clone, Debug)]
struct Files {
    /// File with settings; it need not exist.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "worker.toml",
        value_parser = path_parser()
    )]
    config: PathBuf,
    /// File with environment variables; it need not exist.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = ".env",
        value_parser = path_parser()
    )]
    env_file: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Claims jobs and runs them; what happens without a command
    Run(run::Run),
    /// Runs one handler on a payload from a file, without the API
    ///
    /// The result is printed, the output files are left in a folder. Inputs are read from S3 as
    /// configured, or from a folder.
    Handle(handle::Handle),
    /// Prints the JSON Schemas of all handlers' inputs and outputs
    Schema {
        /// Only this job type.
        job_type: Option<String>,
    },
    /// Tries configuration, API, account, bucket, scratch folder and cache, and says what is wrong
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

impl WorkerBuilder {
    /// A whole program: reads arguments and configuration, sets up logging and signals, connects to
    /// the ReefGuide API and to S3, and runs.
    ///
    /// Before anything else the process is [protected](process_memory) from being read by other processes of its user.
    ///
    /// What the process returns is documented at [`Exit`]. `source`, `storage`, `options` and the like
    /// that were given to the builder before are replaced by what the configuration says.
    pub async fn main(self) -> ExitCode {
        process_memory::protect();
        let exit = Box::pin(dispatch(self, std::env::args_os())).await;
        log_queue::flush(log_queue::LAST_LINES);
        if thread_is_lost() {
            let code = exit.code().into();
            std::thread::spawn(move || {
                std::thread::sleep(RUNTIME_END);
                std::process::exit(code)
            });
        }
        exit.into()
    }
}

async fn dispatch(builder: WorkerBuilder, args: impl Iterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.collect();
    let cli = match parse(&args, builder.version.as_deref()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" that belong on stdout; clap knows.
            let printed = error.print().and_then(|()| std::io::stdout().flush());
            return match (error.use_stderr(), written(printed)) {
                (true, _) => Exit::Usage,
                (false, Ok(())) => Exit::Done,
                (false, Err(error)) => Problem::from(error).told(),
            };
        }
    };
    let withheld = withheld(&builder.extensions);
    let service = Service {
        name: name(&args),
        version: builder.version.clone(),
    };
    let mut program = Program {
        builder: builder.extension(withheld),
        files: cli.files,
        service,
    };
    let command = cli.command.unwrap_or(Command::Run(run::Run::default()));
    if !matches!(command, Command::Isolated { .. }) {
        program.builder.registry.launcher = program.launcher(args.first()).ok();
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
        // Whoever reads the log of a run looks for its end there.
        if is_run && tracing::enabled!(tracing::Level::ERROR) {
            let Problem { exit, message } = problem;
            tracing::error!("{message}");
            return exit;
        }
        problem.told()
    })
}

/// Reads a path, which shells leave as it is behind a `=`: `--output-dir=~/out`.
fn path_parser() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|path| {
        let path = PathBuf::from(path);
        paths::refuse_tilde(&path).map(|()| path)
    })
}

/// What the program is called.
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

/// The settings, for the long help.
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

/// What the programs that handlers run must not see: what the author named, and the worker's secrets.
fn withheld(extensions: &Extensions) -> WithheldVariables {
    let named = extensions.get::<WithheldVariables>();
    let named = named.iter().flat_map(|named| named.names());
    // Half a pair of AWS keys would keep the AWS libraries from looking further, for the task's role.
    let secret = |variable: &&Variable| variable.secret || variable.name == "AWS_ACCESS_KEY_ID";
    let secrets = Config::variables().iter().filter(secret);
    named.chain(secrets.map(|variable| variable.name)).collect()
}

/// The handlers, and where settings come from.
struct Program {
    builder: WorkerBuilder,
    files: Files,
    service: Service,
}

impl Program {
    fn sources(&self) -> ConfigSources {
        ConfigSources {
            toml: Some(self.files.config.clone()),
            env_file: Some(self.files.env_file.clone()),
            ..ConfigSources::standard()
        }
    }

    fn load(&self, sources: &ConfigSources) -> Result<Config, ConfigError> {
        Config::load(sources, &self.handled())
    }

    /// The configuration for commands that need no API; its account may be missing.
    fn load_without_api(&self) -> Result<Config, ConfigError> {
        let sources = self.sources();
        self.load(&sources).or_else(|_| {
            let mut sources = sources;
            let unused = [
                ("API_ENDPOINT", "http://unused.invalid"),
                ("WORKER_USERNAME", "unused"),
                ("WORKER_PASSWORD", "unused"),
            ];
            sources
                .env
                .extend(unused.map(|(name, value)| (name.into(), value.into())));
            self.load(&sources)
        })
    }

    /// What handlers are given.
    fn extensions(&self, config: &Config) -> Extensions {
        let mut extensions = self.builder.extensions.clone();
        // Only a client that has an API: the configuration may be without.
        let with_api = self.load(&self.sources()).ok();
        match with_api.as_ref().map(client) {
            Some(Ok(client)) => extensions.insert(client),
            Some(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "handlers get no client of the API");
            }
            None => {}
        }
        extensions.insert(config.clone());
        extensions
    }

    fn schema(&self, job_type: Option<&str>) -> Result<Exit, Problem> {
        listen()?;
        let mut schemas = self.builder.registry.schemas();
        if let Some(job_type) = job_type {
            schemas.retain(|handled, _| handled.as_str() == job_type);
            if schemas.is_empty() {
                return Err(self.unhandled(job_type));
            }
        }
        let text = serde_json::to_string_pretty(&schemas)
            .map_err(|error| Problem::new(Exit::Internal, error.to_string()))?;
        answer(text)?;
        Ok(Exit::Done)
    }

    async fn healthcheck(&self) -> Result<Exit, Problem> {
        listen()?;
        let Some(port) = self.load_without_api()?.port else {
            let message = "PORT is not set, so no worker serves its health; set PORT for the worker \
                           and for this command";
            return Err(Problem::new(Exit::Config, message));
        };
        match health::probe(port).await {
            Ok(()) => {
                answer("healthy")?;
                Ok(Exit::Done)
            }
            Err(error) => Err(Problem::new(Exit::Failed, Chain(&error).to_string())),
        }
    }

    fn handled(&self) -> Vec<&str> {
        self.builder
            .registry
            .job_types()
            .map(JobType::as_str)
            .collect()
    }

    fn unhandled(&self, job_type: &str) -> Problem {
        let message = format!(
            "no handler for job type {job_type}; there are: {}",
            self.handled().join(", ")
        );
        Problem::new(Exit::Usage, message)
    }
}

/// The first signal ends the process, until there is something to stop. Without this, none ends the first process of a
/// container.
fn listen() -> Result<Signals, Problem> {
    signals::listen()
        .map_err(|error| Problem::new(Exit::Internal, format!("watching signals: {error}")))
}

fn start_logging(config: &Config, service: &Service) -> Result<Reporting, Problem> {
    let reporting = Reporting::all(config, service)?;
    let terminal = std::io::stderr().is_terminal();
    let options = telemetry_options(config);
    telemetry::init_to(&options, log_queue::stderr, terminal, &reporting)?;
    reporting.announce(config);
    if !process_memory::is_protected() {
        tracing::warn!(
            "programs of handlers can read this process's environment, with its secrets"
        );
    }
    warn(config);
    Ok(reporting)
}

/// Logs what looks wrong in the configuration.
fn warn(config: &Config) {
    for found in config.warnings() {
        tracing::warn!(
            setting = found.subject,
            found = found.found,
            remedy = found.remedy,
            "setting looks wrong"
        );
    }
}

fn telemetry_options(config: &Config) -> TelemetryOptions {
    TelemetryOptions {
        format: config.log_format,
        filter: config.log_filter().to_owned(),
        job_logs: config.job_logs != JobLogs::Off,
    }
}

fn client(config: &Config) -> Result<Client, ApiError> {
    client_builder(config).build()
}

fn client_builder(config: &Config) -> ClientBuilder {
    Client::builder(
        &config.api_endpoint,
        &config.worker_username,
        config.worker_password.clone(),
    )
    .timeout(config.api_timeout)
    .user_agent(concat!(
        env!("CARGO_PKG_NAME"),
        "/",
        env!("CARGO_PKG_VERSION")
    ))
}

async fn storage(config: &Config) -> Storage {
    let options = S3Options::default()
        .with_endpoint(config.s3_endpoint.clone())
        .with_region(config.aws_region.clone())
        .with_credentials(config.s3_credentials())
        .with_encryption(config.s3_encryption())
        .with_storage_class(config.s3_storage_class);
    Box::pin(Storage::s3(options)).await
}

/// A folder in place of S3, if there is one.
async fn storage_in(folder: Option<PathBuf>, config: &Config) -> Storage {
    match folder {
        Some(folder) => Storage::folder(folder),
        None => storage(config).await,
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use serde_json::Value;

    use super::*;
    use crate::handler::{self, JobContext};
    use crate::runtime::Worker;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Set for the process that is looked into.
    const CHILD: &str = "REEFGUIDE_WORKER_TEST_CHILD";

    /// A worker whose handler writes down what a program sees.
    #[tokio::test]
    async fn child_with_secrets() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let builder = Worker::builder()
            .extension(WithheldVariables::from_iter(["TIDE_PASSWORD"]))
            .handler_fn("ENV", |input: Value, ctx: JobContext| async move {
                let program = handler::Program::new("sh");
                let program = program.args(["-c", "env >\"$JOB_OUTPUT_DIR/env\""]);
                program.run::<_, Value>(&input, &ctx).await
            });
        let args = "worker handle ENV --input - --output-dir out".split(' ');
        assert_eq!(dispatch(builder, args.map(OsString::from)).await.code(), 0);
    }

    #[test]
    fn a_handlers_program_sees_no_secret() {
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
