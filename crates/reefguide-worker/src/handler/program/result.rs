//! The exit code and the result of a program.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Program;
use crate::finite::not_json;
use crate::handler::JobError;
use crate::handler::process::{Tail, ended_by};
use crate::handler::values::deserialize_at;
use crate::text;

/// The largest result that a program may write.
const RESULT_LIMIT: u64 = 16 << 20;
/// The exit code of a program that asks for another attempt: `EX_TEMPFAIL` of `sysexits.h`.
const TRY_AGAIN: i32 = 75;
/// The exit code of a shell when a program that it ran was killed.
const KILLED_IN_SHELL: i32 = 128 + 9;

impl Program {
    /// An error unless the program succeeded. `hint` is what is known to be wrong with its file.
    pub(super) fn check(
        &self,
        status: ExitStatus,
        stderr: Tail,
        hint: Option<String>,
    ) -> Result<(), JobError> {
        let ended = match status.code() {
            Some(0) => return Ok(()),
            Some(TRY_AGAIN) => {
                format!("{self} asks for another attempt with exit code {TRY_AGAIN}")
            }
            Some(code) => format!("{self} failed with exit code {code}"),
            None => format!("{self} was {}", ended_by(status)),
        };
        let memory = match (status.signal(), status.code()) {
            (Some(9), _) | (_, Some(KILLED_IN_SHELL)) => ", perhaps because memory ran out",
            _ => "",
        };
        let quoted = stderr.quoted();
        let quoted = quoted.map_or("; it wrote nothing to stderr".into(), |tail| {
            format!(": {tail}")
        });
        let hint = hint.map_or_else(String::new, |hint| format!("; it {hint}"));
        let reason = format!("{ended}{memory}{quoted}{hint}");
        match status.code() {
            Some(TRY_AGAIN) => Err(JobError::retryable(reason)),
            _ => Err(JobError::permanent(reason)),
        }
    }

    pub(super) fn result<O: DeserializeOwned>(&self, file: &Path) -> Result<O, JobError> {
        let what = format!("result of {self}");
        let metadata = match fs::symlink_metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let empty = deserialize_at(
                    json!({}),
                    &format!("{what}, which is `{{}}` as it wrote none,"),
                    "output",
                );
                // `()` is written as `{}`, but read from `null`.
                return empty
                    .or_else(|error| serde_json::from_value(Value::Null).map_err(|_| error));
            }
            metadata => metadata?,
        };
        if !metadata.is_file() {
            let reason =
                format!("{what} is not a plain file: write JSON to the path in JOB_RESULT");
            return Err(JobError::permanent(reason));
        }
        if metadata.len() > RESULT_LIMIT {
            let size = metadata.len();
            let reason = format!(
                "{what} has {size} bytes, more than {RESULT_LIMIT}: \
                 write large data to an output file"
            );
            return Err(JobError::permanent(reason));
        }
        let bytes = fs::read(file)?;
        let result = text::json(&bytes).map_err(|error| {
            JobError::permanent(format!("{what} is {}", not_json(&bytes, &error)))
        })?;
        deserialize_at(result, &what, "output")
    }
}
