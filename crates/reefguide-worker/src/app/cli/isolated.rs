//! `isolated`: runs one handler in a separate process, for the worker that has started it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::command_error::CommandError;
use super::invocation::{Invocation, storage_in, telemetry_options};
use crate::app::Exit;
use crate::app::Signal;
use crate::app::reporting::Reporting;
use crate::handler::{ContextParts, JobRequest, Launcher, LogLines, report_result, report_start};
use crate::ledger::Limit;
use crate::runtime::{COOPERATION, call, job_span, note_assignment};
use crate::storage::Outputs;
use crate::trace;

/// How long sending traces may take: less than the worker waits for the process to end.
const FLUSH: Duration = Duration::from_millis(800);

impl Invocation {
    /// How to start a process for [`isolated`](Self::isolated), with the same settings.
    pub(super) fn launcher(&self, name: Option<&OsString>) -> io::Result<Launcher> {
        let files = &self.files;
        Launcher::this_program(vec![
            name.cloned().unwrap_or_default(),
            "isolated".into(),
            "--config".into(),
            files.config.clone().into(),
            "--env-file".into(),
            files.env_file.clone().into(),
        ])
    }

    pub(super) async fn isolated(self, storage_dir: Option<PathBuf>) -> Result<Exit, CommandError> {
        let cancellation = CancellationToken::new();
        let called = JobRequest::receive(cancellation.clone()).map_err(|error| {
            let message =
                format!("no worker has started this process, as `isolated` needs: {error}");
            CommandError::new(Exit::Usage, message)
        })?;
        // A service manager may signal all processes of a worker, but the worker decides when this one ends. A signal
        // that was listened for once no longer ends the process.
        for awaited in Signal::awaited() {
            let _ = signal(awaited.kind())
                .map_err(|error| CommandError::new(Exit::Internal, format!("signals: {error}")))?;
        }
        let config = self.load_without_api()?;
        // The worker that started this process reports failures to Sentry itself.
        let reporting = Reporting::traces(&config, &self.program)?;
        let options = telemetry_options(&config);
        reporting.init(&options, || LogLines, called.terminal)?;
        let span = job_span(&called.job);
        trace::join(&span, &called.trace);
        note_assignment(&span, &called.assignment);
        let parts = ContextParts {
            job: called.job,
            assignment: called.assignment,
            attempt: called.attempt,
            scratch: called.scratch,
            outputs: Outputs::new(called.outputs),
            storage: storage_in(storage_dir, &config),
            inputs: config.input_cache(),
            extensions: self.extensions(&config),
            cancellation: CancellationToken::new(),
            deadline: called.remaining.map(|left| Instant::now() + left),
        };
        // The worker ends this process at its time limit.
        let limit = Limit {
            shutdown: &cancellation,
            end: None,
            ended: None,
        };
        report_start();
        let calling = call(&self.handlers, parts, limit, COOPERATION / 2);
        report_result(calling.instrument(span).await);
        reporting.flush(FLUSH).await;
        Ok(Exit::Done)
    }
}
