//! How a handler fails.

use std::any::Any;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::task::JoinError;

use crate::Chain;
use crate::storage::StorageError;

/// Why a handler could not do its job: for good, or for now.
///
/// Any error becomes one with `?`: for good, except a [`StorageError`] that is worth another try. That of
/// a task that panicked ([`tokio::task::JoinError`]) says how.
/// Deliberately no [`Error`] itself, which is what lets every error convert.
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

/// Where the cause of a job's failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Cause {
    /// The payload does not fit the handler's input.
    Payload,
    /// The handler returned an error.
    Handler,
    /// Something of the handler's panicked.
    Panic,
    /// The handler or the upload took too long.
    Deadline,
    /// The worker had to stop, or nobody waited any more.
    Shutdown,
    /// The outputs could not be stored.
    Storage,
    /// The source does not take the result.
    Result,
    /// The outcome could not be delivered.
    Delivery,
    /// The worker could not do its own part.
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

    /// Trying again would not help: the input is wrong, a file is not what it should be.
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(false, source.into())
    }

    /// Trying again may help: a service was away, a file is not there yet.
    pub fn retryable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(true, source.into())
    }

    /// A thread has panicked, with what [`join`](std::thread::JoinHandle::join) has returned.
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

    /// The worker could not do its own part before the handler's work began: there was no room for a process, a
    /// program is not there. That is worth another try, for as long as there is time, and is nothing that the job
    /// could be blamed for.
    pub(crate) fn workers(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::retryable(source).because(Cause::Worker)
    }

    /// Somebody has panicked.
    pub(crate) fn panic(who: &str, panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self::permanent(format!("{who} panicked: {message}")).because(Cause::Panic)
    }

    /// Says that the cause is not the handler.
    pub(crate) fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// Where the cause is.
    pub(crate) fn cause(&self) -> Cause {
        self.cause
    }

    /// Says what was being done, before what went wrong.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.context = Some(match self.context {
            Some(inner) => format!("{doing}: {inner}"),
            None => doing.to_string(),
        });
        self
    }

    /// Whether trying again may help.
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
