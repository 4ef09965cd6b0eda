//! The errors of a lab.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::route::Side;

/// An error whose type no caller needs to know.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// An error, its source, that one's source and so on.
pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// An error with its sources, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let errors: Vec<_> = sources(error).map(ToString::to_string).collect();
    errors.join(": ")
}

/// Why a lab did not start, or refused a call.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A server could not listen on its address.
    #[error(
        "the {side} server cannot listen on {address}; choose another port (0 for a free one) or host"
    )]
    Bind {
        /// Which server.
        side: Side,
        /// Its address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The folder for jobs and objects cannot be used.
    #[error("the data in {} cannot be used", folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        source: BoxError,
    },
    /// Another lab uses the folder for jobs and objects.
    #[error(
        "another lab uses the data in {}; stop that one, or give this one another folder",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A job type's schema is not a valid JSON Schema.
    #[error("the schema of job type {job_type} is not a valid JSON Schema: {reason}")]
    Schema {
        /// The job type.
        job_type: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key that signs access tokens could not be created.
    #[error("the key that signs access tokens could not be created")]
    SigningKey,
    /// The API refused the call.
    #[error("the lab refused: {0}")]
    Refused(#[source] BoxError),
}

impl LabError {
    pub(crate) fn data(folder: &Path, source: impl Into<BoxError>) -> Self {
        Self::Data {
            folder: folder.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn schema(job_type: &str, reason: &impl ToString) -> Self {
        Self::Schema {
            job_type: job_type.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn refused(source: impl Into<BoxError>) -> Self {
        Self::Refused(source.into())
    }
}
