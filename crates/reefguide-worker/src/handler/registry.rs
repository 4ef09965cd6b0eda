//! The handlers of a worker, by job type.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use schemars::Schema;
use serde::Serialize;
use serde_json::Value;

use super::blocking::Blocking;
use super::{
    BlockingJobHandler, Extensions, JobContext, JobError, JobHandler, JobInput, JobOutput, Launcher,
};
use crate::job::JobType;
use crate::retry::RetryPolicy;

type Running = Pin<Box<dyn Future<Output = Result<Value, JobError>> + Send>>;

/// Handlers by job type, and the values that they share.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<JobType, Handler>,
    /// Types that were added more than once.
    pub(crate) duplicates: Vec<JobType>,
    pub(crate) extensions: Extensions,
    /// `None`: every handler runs in this process.
    pub(crate) launcher: Option<Launcher>,
}

#[derive(Clone)]
struct Handler {
    schema: HandlerSchema,
    facts: Facts,
    run: Arc<dyn Fn(Value, JobContext) -> Running + Send + Sync>,
}

/// How the worker runs a handler, as its `impl` says.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) isolated: bool,
}

/// The JSON Schemas of a handler's payload and result.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HandlerSchema {
    /// The schema of the payload.
    pub input: Schema,
    /// The schema of the result.
    pub output: Schema,
}

impl Registry {
    /// A registry without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler.
    #[must_use]
    pub fn handler<H: JobHandler>(self, handler: H) -> Self {
        let (job_type, handler) = (handler.job_type(), Arc::new(handler));
        let facts = Facts {
            retry: handler.retry(),
            time_limit: handler.time_limit(),
            isolated: handler.isolated(),
        };
        self.add(job_type, facts, move |input, ctx| {
            let handler = handler.clone();
            async move { handler.handle(input, &ctx).await }
        })
    }

    /// Adds a handler that computes.
    #[must_use]
    pub fn blocking<H: BlockingJobHandler>(self, handler: H) -> Self {
        self.handler(Blocking(Arc::new(handler)))
    }

    /// Adds a closure as a handler. The worker runs it with the [defaults](JobHandler#facts-of-a-handler) of a handler.
    ///
    /// ```
    /// use reefguide_worker::prelude::*;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Input {
    ///     id: i64,
    /// }
    ///
    /// let registry = Registry::new().handler_fn("TEST", |input: Input, ctx: JobContext| async move {
    ///     ctx.outputs().write("id.txt", input.id.to_string()).await?;
    ///     Ok(())
    /// });
    /// assert!(registry.handles(&"TEST".into()));
    /// ```
    #[must_use]
    pub fn handler_fn<I, O, F, Fut>(self, job_type: impl Into<JobType>, handler: F) -> Self
    where
        I: JobInput,
        O: JobOutput,
        F: Fn(I, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        self.add(job_type.into(), Facts::default(), handler)
    }

    fn add<I, O, F, Fut>(mut self, job_type: JobType, facts: Facts, handler: F) -> Self
    where
        I: JobInput,
        O: JobOutput,
        F: Fn(I, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let run = move |payload, ctx| -> Running {
            let handler = handler.clone();
            Box::pin(async move {
                let input = I::from_payload(payload)?;
                handler(input, ctx).await?.into_result()
            })
        };
        let schema = HandlerSchema {
            input: I::schema(),
            output: O::schema(),
        };
        let entry = Handler {
            schema,
            facts,
            run: Arc::new(run),
        };
        if self.handlers.insert(job_type.clone(), entry).is_some() {
            self.duplicates.push(job_type);
        }
        self
    }

    /// Adds a value that all handlers share: see [`JobContext::extension`].
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Adds the handlers and the shared values of another registry.
    #[must_use]
    pub(crate) fn merge(mut self, other: Self) -> Self {
        for (job_type, handler) in other.handlers {
            if self.handlers.insert(job_type.clone(), handler).is_some() {
                self.duplicates.push(job_type);
            }
        }
        self.duplicates.extend(other.duplicates);
        self.extensions.merge(other.extensions);
        self.launcher = other.launcher.or(self.launcher);
        self
    }

    /// The job types that have a handler, in alphabetical order.
    pub fn job_types(&self) -> impl Iterator<Item = &JobType> {
        self.handlers.keys()
    }

    /// Whether a job type has a handler.
    pub fn handles(&self, job_type: &JobType) -> bool {
        self.handlers.contains_key(job_type)
    }

    /// How the worker runs each handler.
    pub(crate) fn facts(&self) -> impl Iterator<Item = (&JobType, &Facts)> {
        self.handlers
            .iter()
            .map(|(job_type, handler)| (job_type, &handler.facts))
    }

    /// The schemas of all handlers.
    pub fn schemas(&self) -> BTreeMap<&JobType, &HandlerSchema> {
        self.handlers
            .iter()
            .map(|(job_type, handler)| (job_type, &handler.schema))
            .collect()
    }

    /// Runs the handler of a context's job on its payload.
    pub(crate) fn run(&self, ctx: JobContext) -> Running {
        let job = ctx.job();
        match (self.handlers.get(&job.job_type), &self.launcher) {
            (Some(handler), Some(launcher)) if handler.facts.isolated => {
                let launcher = launcher.clone();
                Box::pin(async move { launcher.run(&ctx).await })
            }
            (Some(handler), _) => (handler.run)(job.payload.clone(), ctx),
            (None, _) => {
                let error = format!("no handler for job type {}", job.job_type);
                Box::pin(std::future::ready(Err(JobError::permanent(error))))
            }
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}
