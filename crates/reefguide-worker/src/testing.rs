//! A harness to run a handler in a unit test: pass a payload, and get the result and the output files. It needs no
//! server and no network: add the objects that the handler reads from storage to the harness.
//!
//! ```
//! use reefguide_worker::prelude::*;
//! use reefguide_worker::testing::Harness;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input {
//!     source: StorageUri,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Output {
//!     lines: usize,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), JobError> {
//! let finished = Harness::handler_fn("COUNT", |input: Input, ctx: JobContext| async move {
//!     let text = ctx.storage().read(&input.source, 1 << 20).await?;
//!     let lines = text.split(|byte| *byte == b'\n').count();
//!     ctx.outputs().write("lines.txt", lines.to_string()).await?;
//!     Ok(Output { lines })
//! })
//! .object("s3://bucket/reefs.csv", "a\nb\nc")
//! .run(json!({ "source": "s3://bucket/reefs.csv" }))
//! .await?;
//!
//! assert_eq!(finished.result(), &json!({ "lines": 3 }));
//! assert_eq!(finished.output("lines.txt")?, b"3");
//! # Ok(())
//! # }
//! ```

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::handler::{
    BlockingJobHandler, ContextParts, JobContext, JobError, JobHandler, JobInput, JobOutput,
    Registry,
};
use crate::job::{Assignment, AssignmentId, Job, JobId, JobType};
use crate::ledger::{Limit, Reached};
use crate::runtime::{COOPERATION, call, temporary_folder};
use crate::scratch::Folder;
use crate::storage::{Outputs, Storage, StorageUri};

/// The folder of the output files, in that of an attempt.
const OUTPUTS: &str = "outputs";

/// Runs one handler, as a worker does.
#[derive(Debug)]
#[must_use]
pub struct Harness {
    registry: Registry,
    objects: Vec<(String, Bytes)>,
    time_limit: Option<Duration>,
    cancellation: CancellationToken,
}

/// The result and the outputs of a handler.
#[derive(Debug)]
pub struct Finished {
    result: Value,
    folder: Folder,
}

impl Harness {
    /// A harness for a handler, see [`Registry::handler`].
    pub fn handler<H: JobHandler>(handler: H) -> Self {
        Self::of(Registry::new().handler(handler))
    }

    /// A harness for a handler that computes, see [`Registry::blocking`].
    pub fn blocking<H: BlockingJobHandler>(handler: H) -> Self {
        Self::of(Registry::new().blocking(handler))
    }

    /// A harness for a closure, see [`Registry::handler_fn`].
    pub fn handler_fn<I, O, F, Fut>(job_type: impl Into<JobType>, handler: F) -> Self
    where
        I: JobInput,
        O: JobOutput,
        F: Fn(I, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        Self::of(Registry::new().handler_fn(job_type, handler))
    }

    fn of(registry: Registry) -> Self {
        Self {
            registry,
            objects: Vec::new(),
            time_limit: None,
            cancellation: CancellationToken::new(),
        }
    }

    /// Adds a value that [`JobContext::extension`] returns.
    pub fn extension<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.registry = self.registry.extension(value);
        self
    }

    /// Puts an object into the storage that the handler reads.
    pub fn object(mut self, uri: impl Into<String>, contents: impl Into<Bytes>) -> Self {
        self.objects.push((uri.into(), contents.into()));
        self
    }

    /// Ends the attempt after `limit`. There is no limit by default: the harness does not apply the handler's own
    /// [`time_limit`](JobHandler::time_limit), nor does it retry.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Ends the attempt, as a shutdown would, when the token fires.
    pub fn cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = token;
        self
    }

    /// Runs the handler once on a payload. A retryable error is returned like any other.
    ///
    /// # Errors
    /// The error of the handler, also if it panicked or the payload does not fit its input; an object that could not be
    /// stored.
    pub async fn run(&self, payload: impl Serialize) -> Result<Finished, JobError> {
        let folder = Folder::new_in(&temporary_folder(), "harness-")?;
        let [scratch, outputs, objects] =
            ["scratch", OUTPUTS, "objects"].map(|name| folder.path().join(name));
        for path in [&scratch, &outputs, &objects] {
            std::fs::create_dir(path)?;
        }
        let storage = Storage::folder(objects);
        for (uri, contents) in &self.objects {
            storage
                .upload_bytes(contents.clone(), &uri.parse::<StorageUri>()?)
                .await?;
        }
        let deadline = self.time_limit.map(|limit| Instant::now() + limit);
        let job_type = self.registry.job_types().next().cloned();
        let parts = ContextParts {
            job: Job {
                id: JobId::from(1),
                job_type: job_type.unwrap_or_else(|| "NONE".into()),
                payload: serde_json::to_value(payload)?,
                created_at: None,
                unreadable: None,
            },
            assignment: Assignment {
                id: AssignmentId::from(1),
                storage_uri: "file:///outputs".into(),
                expires_at: None,
            },
            attempt: 1,
            scratch,
            outputs: Outputs::new(outputs),
            storage,
            inputs: None,
            extensions: self.registry.extensions.clone(),
            cancellation: CancellationToken::new(),
            deadline,
        };
        let limit = Limit {
            shutdown: &self.cancellation,
            end: deadline.map(|end| (end, Reached::Lease)),
            ended: None,
        };
        let result = call(&self.registry, parts, limit, COOPERATION).await?;
        Ok(Finished { result, folder })
    }
}

impl Finished {
    /// The result.
    pub fn result(&self) -> &Value {
        &self.result
    }

    /// The folder with the output files. It is removed when this value is dropped.
    pub fn outputs(&self) -> PathBuf {
        self.folder.path().join(OUTPUTS)
    }

    /// The contents of one output file.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn output(&self, path: &str) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.outputs().join(path))
    }
}
