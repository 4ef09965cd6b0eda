//! Ids of jobs and assignments, types and statuses.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It is opaque: some job systems use numbers, others UUIDs. Numbers are ordered as numbers, and an id is
        /// serialized in the form in which it was received.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Id);

        impl $name {
            /// The id as a number, if its job system uses numbers.
            pub fn as_number(&self) -> Option<i64> {
                match self.0 {
                    Id::Number(number) => Some(number),
                    Id::Text(_) => None,
                }
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(Id::Number(number))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Id::Text(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &self.0 {
                    Id::Number(number) => number.fmt(f),
                    Id::Text(text) => text.fmt(f),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

id_type! {
    /// The id of a job.
    JobId
}

id_type! {
    /// The id of an assignment of a job to a worker.
    AssignmentId
}

/// The kind of work a job asks for, such as `SUITABILITY_ASSESSMENT`.
///
/// The server decides which types there are, so this is not an enum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobType(String);

impl JobType {
    /// The name of the type.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for JobType {
    fn from(name: T) -> Self {
        Self(name.as_ref().into())
    }
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The status of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum JobStatus {
    /// Waiting for a worker.
    Pending,
    /// Claimed by a worker.
    InProgress,
    /// Done, with all its outputs stored.
    Succeeded,
    /// Ended without success.
    Failed,
    /// Withdrawn by its submitter.
    Cancelled,
    /// Given up by the server, because it took too long.
    TimedOut,
    /// A status that this version does not know, as it was received.
    #[serde(untagged)]
    Other(String),
}

impl JobStatus {
    /// Whether the job has ended. A job with an unknown status is assumed to go on.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut
        )
    }

    /// The name on the wire, such as `IN_PROGRESS`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_keep_the_form_they_were_received_in() {
        for received in [json!(7), json!("7"), json!("9f2c")] {
            let id: JobId = serde_json::from_value(received.clone()).unwrap();
            assert_eq!(serde_json::to_value(&id).unwrap(), received);
        }
    }

    #[test]
    fn numeric_ids_are_ordered_as_numbers() {
        assert!(AssignmentId::from(9) < AssignmentId::from(10));
    }

    #[test]
    fn an_unknown_status_is_kept_and_is_not_final() {
        let status: JobStatus = serde_json::from_value(json!("ARCHIVED")).unwrap();
        assert_eq!(status, JobStatus::Other("ARCHIVED".into()));
        assert!(!status.is_final());
        assert_eq!(serde_json::to_value(&status).unwrap(), json!("ARCHIVED"));
    }

    #[test]
    fn known_statuses_have_their_wire_names() {
        for name in [
            "PENDING",
            "IN_PROGRESS",
            "SUCCEEDED",
            "FAILED",
            "CANCELLED",
            "TIMED_OUT",
        ] {
            let status: JobStatus = serde_json::from_value(json!(name)).unwrap();
            assert!(!matches!(status, JobStatus::Other(_)), "{name}");
            assert_eq!(status.as_str(), name);
        }
    }
}
