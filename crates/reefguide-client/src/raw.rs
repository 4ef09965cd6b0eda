//! Reading JSON field by field, so that one value that cannot be read does not spoil the rest.
//!
//! A list has the jobs of many submitters. A job with a payload that is nested too deeply, or with a number that does
//! not fit, must not hide the others.

use std::fmt;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::DEPTH_LIMIT;

/// A job whose fields are not read yet.
#[derive(Deserialize)]
#[serde(expecting = "a job")]
pub(super) struct RawJob {
    pub(super) id: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    pub(super) job_type: Option<Box<RawValue>>,
    pub(super) status: Option<Box<RawValue>>,
    pub(super) created_at: Option<Box<RawValue>>,
    pub(super) updated_at: Option<Box<RawValue>>,
    pub(super) hash: Option<Box<RawValue>>,
    pub(super) user_id: Option<Box<RawValue>>,
    pub(super) input_payload: Option<Box<RawValue>>,
    pub(super) assignments: Option<Vec<Box<RawValue>>>,
}

/// A result whose payload is not read yet.
#[derive(Deserialize)]
pub(super) struct RawResult {
    pub(super) id: i64,
    #[serde(default, deserialize_with = "date")]
    pub(super) created_at: Option<Timestamp>,
    pub(super) result_payload: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) storage_uri: String,
}

/// Why a value is not a job.
#[derive(Debug)]
pub(super) struct NotAJob(pub(super) String);

impl fmt::Display for NotAJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A date, or `None` if it cannot be read: dates are for display only.
pub(super) fn date<'de, D: Deserializer<'de>>(date: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(read(Option::<Box<RawValue>>::deserialize(date)?.as_deref()))
}

/// A value, or `None` if it is missing or cannot be read.
pub(super) fn read<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// A payload, or `null` and why it cannot be read.
pub(super) fn payload(raw: Option<&RawValue>) -> (Value, Option<String>) {
    let Some(raw) = raw else {
        return (Value::Null, None);
    };
    if is_too_deep(raw.get()) {
        let why = format!("is nested deeper than {DEPTH_LIMIT} levels");
        return (Value::Null, Some(why));
    }
    match serde_json::from_str(raw.get()) {
        Ok(payload) => (payload, None),
        Err(error) => (Value::Null, Some(format!("cannot be read: {error}"))),
    }
}

/// Whether JSON is nested more deeply than [`DEPTH_LIMIT`].
pub(super) fn is_too_deep(json: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_LIMIT {
            return true;
        }
    }
    false
}

/// The beginning of a value, for a message.
pub(super) fn excerpt(raw: &RawValue) -> String {
    raw.get().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_a_string_do_not_count_as_nesting() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let quoted = format!(r#"["\"{}"]"#, "[".repeat(DEPTH_LIMIT + 1));
        assert!(!is_too_deep(&quoted));
        assert!(!is_too_deep(&nested(DEPTH_LIMIT)));
        assert!(is_too_deep(&nested(DEPTH_LIMIT + 1)));
    }
}
