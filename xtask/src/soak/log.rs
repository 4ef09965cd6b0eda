//! What the logs of all workers tell.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Doing, Failure};

/// What the workers did, as they say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// How often each job was claimed, by its id.
    pub(super) claims: BTreeMap<String, usize>,
    /// How many claims of dead workers were settled.
    pub(super) settled: usize,
}

#[derive(Deserialize)]
struct Line {
    message: String,
    #[serde(default)]
    job_id: String,
}

impl Told {
    /// Reads the logs in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let mut told = Self::default();
        let entries =
            std::fs::read_dir(folder).doing(format_args!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry
                .doing(format_args!("reading {}", folder.display()))?
                .path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = std::fs::read_to_string(&path);
                told.add(&text.doing(format_args!("reading {}", path.display()))?);
            }
        }
        Ok(told)
    }

    fn add(&mut self, log: &str) {
        // A killed worker may leave half a line.
        for line in log
            .lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        {
            match line.message.as_str() {
                "job claimed" => *self.claims.entry(line.job_id).or_default() += 1,
                "claim of a dead worker settled" => self.settled += 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_and_settled_claims_are_counted() {
        let mut told = Told::default();
        told.add(
            r#"
{"message":"job claimed","job_id":"4"}
{"message":"job claimed","job_id":"4"}
{"message":"claim of a dead worker settled","job_id":"5"}
{"message":"job cl"#,
        );
        assert_eq!(told.claims, BTreeMap::from([("4".to_owned(), 2)]));
        assert_eq!(told.settled, 1);
    }
}
