//! Inputs and outputs of handlers: JSON as Rust types.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Cause, JobError};
use crate::finite;

/// The input of a handler: any type that implements [`Deserialize`](serde::Deserialize) and [`JsonSchema`].
///
/// ```compile_fail,E0277
/// # use reefguide_worker::prelude::*;
/// #[derive(Deserialize)]
/// struct Input {
///     id: i64,
/// }
///
/// struct TestHandler;
///
/// impl JobHandler for TestHandler {
///     const JOB_TYPE: &'static str = "TEST";
///     type Input = Input; // error: `Input` cannot be the input of a handler
///     type Output = ();
///
///     async fn handle(&self, _: Input, _: &JobContext) -> Result<(), JobError> {
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a handler",
    label = "`{Self}` lacks `Deserialize` or `JsonSchema`, or it borrows",
    note = "add `#[derive(Deserialize, JsonSchema)]` to it and to the types of its fields, or take a `serde_json::Value`"
)]
// Methods instead of supertraits: for a missing supertrait the compiler would not show the messages above.
pub trait JobInput: Sized + Send + 'static {
    #[doc(hidden)]
    fn from_payload(payload: Value) -> Result<Self, JobError>;
    #[doc(hidden)]
    fn schema() -> Schema;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> JobInput for T {
    fn from_payload(payload: Value) -> Result<Self, JobError> {
        deserialize_at(payload, "payload", "input").map_err(|error| error.because(Cause::Payload))
    }

    fn schema() -> Schema {
        schema_for!(T)
    }
}

/// The output of a handler: any type that implements [`Serialize`] and [`JsonSchema`].
///
/// ```compile_fail,E0277
/// # use reefguide_worker::prelude::*;
/// struct Output {}
///
/// struct TestHandler;
///
/// impl JobHandler for TestHandler {
///     const JOB_TYPE: &'static str = "TEST";
///     type Input = u64;
///     type Output = Output; // error: `Output` cannot be the output of a handler
///
///     async fn handle(&self, _: u64, _: &JobContext) -> Result<Output, JobError> {
///         Ok(Output {})
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a handler",
    label = "`{Self}` lacks `Serialize` or `JsonSchema`, or it borrows",
    note = "add `#[derive(Serialize, JsonSchema)]` to it and to the types of its fields, or return `()` or a \
            `serde_json::Value`"
)]
pub trait JobOutput: Sized + Send + 'static {
    #[doc(hidden)]
    fn into_result(self) -> Result<Value, JobError>;
    #[doc(hidden)]
    fn schema() -> Schema;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + JsonSchema + Send + 'static> JobOutput for T {
    fn into_result(self) -> Result<Value, JobError> {
        finite::check(&self).map_err(|error| JobError::permanent(format!("result {error}")))?;
        serde_json::to_value(&self)
            .map_err(|error| JobError::permanent(error).context("result is not JSON"))
    }

    fn schema() -> Schema {
        schema_for!(T)
    }
}

/// Deserializes a handler's input or output. The error says where the value does not fit.
pub(super) fn deserialize_at<T: DeserializeOwned>(
    value: Value,
    what: &str,
    side: &str,
) -> Result<T, JobError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." {
            what.into()
        } else {
            format!("{what} at `{path}`")
        };
        JobError::permanent(error.into_inner())
            .context(format!("{place} does not fit the handler's {side}"))
    })
}
