//! `handle`: calls one handler with one payload, without the API.

use std::io::{IsTerminal, Read, stderr, stdin};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::command_error::{CommandError, scratch_error, storage_help};
use super::files::path_parser;
use super::invocation::{Invocation, listen, storage_in, telemetry_options, warn};
use crate::app::Bar;
use crate::app::Exit;
use crate::app::platform::paths::folder_obstacle;
use crate::app::reporting::Reporting;
use crate::app::stdout::answer;
use crate::finite::not_json;
use crate::handler::{ContextParts, kill_all};
use crate::job::{Assignment, AssignmentId, Job, JobId, JobType};
use crate::ledger::Limit;
use crate::log_queue;
use crate::runtime::{COOPERATION, call};
use crate::scratch::{self, RunFolder};
use crate::storage::Outputs;
use crate::text;

#[derive(Debug, clap::Args)]
pub(super) struct Handle {
    /// The job type.
    job_type: String,
    /// File with the payload as JSON; `-` reads it from stdin.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    input: PathBuf,
    /// Folder for the output files; created if it is missing.
    #[arg(long, value_name = "DIR", value_parser = path_parser())]
    output_dir: PathBuf,
    /// Reads objects from this folder instead of S3: s3://bucket/key is DIR/bucket/key.
    #[arg(long, value_name = "DIR", value_parser = path_parser())]
    storage_dir: Option<PathBuf>,
}

impl Invocation {
    pub(super) async fn handle(self, handle: Handle) -> Result<Exit, CommandError> {
        let signals = listen()?;
        let job_type = JobType::from(&handle.job_type);
        if !self.handlers.handles(&job_type) {
            return Err(self.unhandled(&handle.job_type));
        }
        let config = self.load_without_api()?;
        let bar = Bar::in_log();
        let lines = bar.above(log_queue::stderr);
        let terminal = stderr().is_terminal();
        Reporting::default().init(&telemetry_options(&config), lines, terminal)?;
        warn(&config);
        let payload = read_payload(&handle.input)?;
        handle.storage_dir.as_deref().map_or(Ok(()), check_exists)?;
        let output_dir = handle.output_dir;
        std::fs::create_dir_all(&output_dir).map_err(|error| {
            let reason = folder_obstacle(&output_dir).unwrap_or_else(|| error.to_string());
            let folder = output_dir.display();
            CommandError::new(Exit::Usage, format!("output folder {folder}: {reason}"))
        })?;
        let scratch = RunFolder::new(&config.data_scratch_space);
        scratch
            .ensure()
            .map_err(|error| scratch_error(&config.data_scratch_space, &error))?;

        let stop = CancellationToken::new();
        let remove = scratch.path().to_owned();
        signals.clean_up_with(move || {
            kill_all();
            scratch::remove(&remove);
        });
        signals.stop_first(stop.clone());

        let mut registry = self.handlers.clone();
        if let (Some(launcher), Some(folder)) = (&mut registry.launcher, &handle.storage_dir) {
            launcher.arg("--storage-dir");
            launcher.arg(folder);
        }
        let storage = storage_in(handle.storage_dir, &config);
        let transfers = storage.progress().clone();
        let parts = ContextParts {
            job: Job {
                id: JobId::from(0),
                job_type,
                payload,
                created_at: None,
                unreadable: None,
            },
            assignment: Assignment {
                id: AssignmentId::from(0),
                storage_uri: "file:///outputs".into(),
                expires_at: None,
            },
            attempt: 1,
            scratch: scratch.path().to_owned(),
            outputs: Outputs::new(output_dir),
            storage,
            inputs: config.input_cache(),
            extensions: self.extensions(&config),
            cancellation: CancellationToken::new(),
            deadline: None,
        };
        let limit = Limit {
            shutdown: &stop,
            end: None,
            ended: None,
        };
        let calling = call(&registry, parts, limit, COOPERATION);
        let result = bar.during(&transfers, calling).await.map_err(|error| {
            let message = format!("{}: {error}", handle.job_type);
            CommandError::new(Exit::Failed, message).with_help(storage_help(error.source()))
        })?;
        let text = serde_json::to_string_pretty(&result)
            .map_err(|error| CommandError::new(Exit::Internal, error.to_string()))?;
        answer(text)?;
        Ok(Exit::Done)
    }
}

/// Checks that a folder to read from exists.
fn check_exists(folder: &Path) -> Result<(), CommandError> {
    let reason = match folder_obstacle(folder) {
        None if folder.exists() => return Ok(()),
        obstacle => obstacle.unwrap_or_else(|| "it is not there".into()),
    };
    let folder = folder.display();
    Err(CommandError::new(
        Exit::Usage,
        format!("storage folder {folder}: {reason}"),
    ))
}

fn read_payload(path: &Path) -> Result<Value, CommandError> {
    let from_stdin = path.as_os_str() == "-";
    let unusable = |error: String| {
        let place = match from_stdin {
            true => "on stdin".into(),
            false => format!("in {}", path.display()),
        };
        CommandError::new(Exit::Usage, format!("payload {place}: {error}"))
    };
    let mut bytes = Vec::new();
    let read = match from_stdin {
        true => stdin().read_to_end(&mut bytes).map(drop),
        false => std::fs::read(path).map(|read| bytes = read),
    };
    read.map_err(|error| unusable(error.to_string()))?;
    text::json(&bytes).map_err(|error| unusable(not_json(&bytes, &error)))
}
