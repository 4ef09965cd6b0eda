//! The error of a handler.

use std::any::Any;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::task::JoinError;

use crate::Chain;
use crate::storage::StorageError;

/// Why a handler could not do its job. The error is permanent and fails the job, or it is retryable and the worker calls
/// the handler again.
///
/// `?` converts every error into a permanent one, except a [`StorageError`] that is retryable. The error of a task that
/// panicked ([`tokio::task::JoinError`]) has the panic's message.
///
/// `JobError` does not implement [`Error`], because `?` could not convert every error otherwise.
///
/// ```
/// use reefguide_worker::prelude::*;
///
/// fn scale(percent: f64) -> Result<f64, JobError> {
///     if !(0.0..=100.0).contains(&percent) {
///         return Err(JobError::permanent(format!("scale {percent} is outside 0..=100")));
///     }
///     Ok(percent / 100.0)
/// }
///
/// fn licence() -> Result<(), JobError> {
///     std::net::TcpStream::connect("127.0.0.1:1").map_err(JobError::retryable)?;
///     Ok(())
/// }
///
/// assert!(!scale(101.0).unwrap_err().is_retryable());
/// assert!(licence().unwrap_err().is_retryable());
/// ```
pub struct JobError {
    retryable: bool,
    cause: Cause,
    context: Option<String>,
    source: Box<dyn Error + Send + Sync>,
}

/// What caused a job's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Cause {
    /// The payload does not fit the input of the handler.
    Payload,
    /// The handler returned an error.
    Handler,
    /// The handler panicked.
    Panic,
    /// The handler or the upload took too long.
    Deadline,
    /// The worker had to stop, or the job was no longer wanted.
    Shutdown,
    /// The outputs could not be stored.
    Storage,
    /// The source refused the result.
    Result,
    /// The outcome could not be delivered.
    Delivery,
    /// The worker itself is in trouble.
    Worker,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payload => "payload",
            Self::Handler => "handler",
            Self::Panic => "panic",
            Self::Deadline => "deadline",
            Self::Shutdown => "shutdown",
            Self::Storage => "storage",
            Self::Result => "result",
            Self::Delivery => "delivery",
            Self::Worker => "worker",
        })
    }
}

impl JobError {
    fn new(retryable: bool, source: Box<dyn Error + Send + Sync>) -> Self {
        Self {
            retryable,
            cause: Cause::Handler,
            context: None,
            source,
        }
    }

    /// The error that the handler returned.
    pub(crate) fn source(&self) -> &(dyn Error + 'static) {
        &*self.source
    }

    /// An error that another attempt would repeat: the input is wrong, or a file has the wrong format.
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(false, source.into())
    }

    /// An error that another attempt may avoid: a service was away, or a file is not there yet.
    pub fn retryable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(true, source.into())
    }

    /// The panic of a thread, as [`join`](std::thread::JoinHandle::join) returns it.
    ///
    /// ```
    /// use reefguide_worker::prelude::*;
    ///
    /// fn first(depths: Vec<f64>) -> Result<f64, JobError> {
    ///     let thread = std::thread::spawn(move || depths[0]);
    ///     thread.join().map_err(JobError::panicked)
    /// }
    ///
    /// let error = first(Vec::new()).unwrap_err();
    /// assert!(error.to_string().starts_with("a thread panicked: index out of bounds"));
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn panicked(panic: Box<dyn Any + Send>) -> Self {
        Self::panic("a thread", &*panic)
    }

    /// The worker could not start the handler's work: there was no room for a process, or a program is not there. The
    /// job is not to blame, so the worker keeps trying for as long as the job has time.
    pub(crate) fn not_started(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::retryable(source).because(Cause::Worker)
    }

    /// A panic of `who`.
    pub(crate) fn panic(who: &str, panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self::permanent(format!("{who} panicked: {message}")).because(Cause::Panic)
    }

    /// Sets the cause, which is the handler otherwise.
    pub(crate) fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// What caused the failure.
    pub(crate) fn cause(&self) -> Cause {
        self.cause
    }

    /// Adds what was being done, in front of the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.context = Some(match self.context {
            Some(inner) => format!("{doing}: {inner}"),
            None => doing.to_string(),
        });
        self
    }

    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        let retryable = (&error as &dyn Error)
            .downcast_ref::<StorageError>()
            .is_some_and(StorageError::is_retryable);
        let source: Box<dyn Error + Send + Sync> = Box::new(error);
        match source
            .downcast::<JoinError>()
            .map(|error| error.try_into_panic())
        {
            Ok(Ok(panic)) => Self::panic("a spawned task", &*panic),
            Ok(Err(error)) => Self::permanent(error),
            Err(source) => Self::new(retryable, source),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(context) = &self.context {
            write!(f, "{context}: ")?;
        }
        Chain(&*self.source).fmt(f)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.retryable {
            "retryable"
        } else {
            "permanent"
        };
        write!(f, "JobError({kind}: {self})")
    }
}
