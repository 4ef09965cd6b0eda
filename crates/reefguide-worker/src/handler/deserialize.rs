//! JSON as a type that the author has chosen.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::JobError;

/// A value as a handler's input or output; the error says where it does not fit.
pub(super) fn deserialize_at<T: DeserializeOwned>(
    value: Value,
    what: &str,
    handlers: &str,
) -> Result<T, JobError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." {
            what.into()
        } else {
            format!("{what} at `{path}`")
        };
        JobError::permanent(error.into_inner())
            .context(format!("{place} does not fit the handler's {handlers}"))
    })
}
