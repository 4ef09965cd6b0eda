//! `isolated`: one handler, in a process of its own.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::invocation::{Invocation, storage_in, telemetry_options};
use super::problem::Problem;
use crate::app::Exit;
use crate::app::Signal;
use crate::app::reporting::Reporting;
use crate::app::telemetry;
use crate::handler::{ContextParts, JobRequest, Launcher, LogLines, report_result, report_start};
use crate::ledger::Limit;
use crate::runtime::{COOPERATION, call, job_span, note_assignment};
use crate::storage::Outputs;
use crate::trace;

/// How long it may take to send traces: less than the worker lets the process linger.
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

    pub(super) async fn isolated(self, storage_dir: Option<PathBuf>) -> Result<Exit, Problem> {
        let cancellation = CancellationToken::new();
        let called = JobRequest::receive(cancellation.clone()).map_err(|error| {
            let message =
                format!("no worker has started this process, as `isolated` needs: {error}");
            Problem::new(Exit::Usage, message)
        })?;
        // Who stops a service may signal all its processes; when this one ends is for the worker to say.
        // Signals that were listened to once do nothing from then on.
        for awaited in Signal::awaited() {
            let _ = signal(awaited.kind())
                .map_err(|error| Problem::new(Exit::Internal, format!("signals: {error}")))?;
        }
        let config = self.load_without_api()?;
        // Of failures the worker hears, and reports them.
        let reporting = Reporting::traces(&config, &self.service)?;
        let options = telemetry_options(&config);
        telemetry::init_to(&options, || LogLines, called.terminal, &reporting)?;
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
        // At its limit the worker ends this process.
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
