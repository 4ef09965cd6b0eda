//! A summary of the logs of all workers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Doing, Failure};

/// What the workers logged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LogSummary {
    /// How often each job was claimed, by its id.
    pub(super) claims: BTreeMap<String, usize>,
    /// The jobs whose outputs were left in the bucket: their result was refused, or they could not be deleted.
    pub(super) left: BTreeSet<String>,
    /// How many claims of dead workers were resolved.
    pub(super) resolved: usize,
}

/// Parts of the lines that say that outputs are left.
const LEFT: [&str; 3] = ["result refused", "not taken back", "outputs not removed"];

#[derive(Deserialize)]
struct Line {
    message: String,
    #[serde(default)]
    job_id: String,
}

impl LogSummary {
    /// Reads the logs in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let mut summary = Self::default();
        let entries =
            std::fs::read_dir(folder).doing(format_args!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry
                .doing(format_args!("reading {}", folder.display()))?
                .path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = std::fs::read_to_string(&path);
                summary.add(&text.doing(format_args!("reading {}", path.display()))?);
            }
        }
        Ok(summary)
    }

    fn add(&mut self, log: &str) {
        for text in log.lines() {
            // A killed worker may leave an incomplete line.
            let Ok(line) = serde_json::from_str::<Line>(text) else {
                continue;
            };
            if LEFT.iter().any(|part| text.contains(part)) {
                self.left.insert(line.job_id.clone());
            }
            match line.message.as_str() {
                "job claimed" => *self.claims.entry(line.job_id).or_default() += 1,
                "claim of a dead worker resolved" => self.resolved += 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_resolved_claims_and_outputs_that_are_left_are_counted() {
        let mut summary = LogSummary::default();
        summary.add(
            r#"
{"message":"job claimed","job_id":"4"}
{"message":"job claimed","job_id":"4"}
{"message":"claim of a dead worker resolved","job_id":"5"}
{"message":"job failed","job_id":"6","reason":"result refused: no"}
{"message":"job cl"#,
        );
        assert_eq!(summary.claims, BTreeMap::from([("4".to_owned(), 2)]));
        assert_eq!(summary.resolved, 1);
        assert_eq!(summary.left, BTreeSet::from(["6".to_owned()]));
    }
}
