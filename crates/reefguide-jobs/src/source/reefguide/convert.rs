//! Converts the API's types and errors to the types that all sources share.

use reefguide_client::{ApiError, AssignmentRecord, JobRecord};
use serde_json::Value;

use crate::job::{Assignment, Job};
use crate::source::SourceError;

impl From<JobRecord> for Job {
    fn from(record: JobRecord) -> Self {
        Self {
            id: record.id,
            job_type: record.job_type,
            payload: whole_numbers(record.input_payload),
            created_at: record.created_at,
            unreadable: record.unreadable,
        }
    }
}

/// Integers may arrive as floats (API contract, "Transport"), and serde reads `1.0` into an integer field only as `1`.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole_number(&number).unwrap_or(number)),
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, whole_numbers(field)))
            .collect(),
        other => other,
    }
}

fn whole_number(number: &serde_json::Number) -> Option<serde_json::Number> {
    // Up to 2^53 a float represents every integer exactly; beyond that, the original value is lost.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.is_f64().then(|| number.as_f64()).flatten()?;
    (float.fract() == 0.0 && float.abs() <= EXACT).then(|| (float as i64).into())
}

impl From<AssignmentRecord> for Assignment {
    fn from(record: AssignmentRecord) -> Self {
        Self {
            id: record.id,
            storage_uri: record.storage_uri,
            expires_at: record.expires_at,
        }
    }
}

impl From<ApiError> for SourceError {
    fn from(error: ApiError) -> Self {
        let source = |error: ApiError| Box::new(error);
        match &error {
            _ if error.is_retryable() => Self::Unavailable {
                retry_after: error.retry_after(),
                source: source(error),
            },
            // Without a token the API refuses every call.
            ApiError::Login(_) => Self::Denied {
                source: source(error),
            },
            _ if error.is_denied() => Self::Denied {
                source: source(error),
            },
            ApiError::TooLarge { .. }
            | ApiError::Nul { .. }
            | ApiError::Unchecked { .. }
            | ApiError::TooDeep => Self::ResultRefused {
                source: source(error),
            },
            // The service reports a job that is gone with other words.
            ApiError::NotFound { .. } if !error.is_gone() => Self::Unavailable {
                retry_after: None,
                source: source(error),
            },
            _ => Self::Refused {
                source: source(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_that_arrive_as_floats_become_integers_again() {
        let payload = json!({ "id": 7.0, "deep": [{ "n": -3.0 }], "half": 0.5, "huge": 1e300 });
        assert_eq!(
            whole_numbers(payload),
            json!({ "id": 7, "deep": [{ "n": -3 }], "half": 0.5, "huge": 1e300 })
        );
    }

    #[test]
    fn a_result_that_the_api_cannot_store_is_refused_as_a_result() {
        let call = || "POST /x".to_owned();
        let size = 102_401;
        let path = "a".to_owned();
        for error in [
            ApiError::TooLarge { call: call(), size },
            ApiError::Nul { call: call(), path },
            ApiError::Unchecked { value: "0".into() },
            ApiError::TooDeep,
        ] {
            let error = SourceError::from(error);
            assert!(
                matches!(error, SourceError::ResultRefused { .. }),
                "{error:?}"
            );
        }
    }
}
