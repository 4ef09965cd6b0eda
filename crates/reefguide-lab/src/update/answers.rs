//! What a worker was generated with.

use std::path::{Path, PathBuf};

use super::error::UpdateError;

/// The file that the template writes into every worker.
pub(super) const FILE: &str = "template-answers.toml";

/// The answers of one worker.
#[derive(Debug)]
pub(super) struct Answers {
    file: PathBuf,
    text: String,
}

impl Answers {
    /// Reads the answers of the worker in a folder.
    pub(super) fn read(worker: &Path) -> Result<Self, UpdateError> {
        let file = worker.join(FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Self { file, text }),
            Err(source) => Err(UpdateError::Answers { file, source }),
        }
    }

    /// The worker's name.
    pub(super) fn name(&self) -> Result<&str, UpdateError> {
        self.get("name")
    }

    /// The tag of the release that the worker comes from.
    pub(super) fn release(&self) -> Result<String, UpdateError> {
        Ok(format!("v{}", self.get("template_version")?))
    }

    /// The repository that has the template.
    pub(super) fn repository(&self) -> Result<String, UpdateError> {
        let repository = match self.get("sdk")? {
            "path" => self.get("sdk_path")?,
            "git" => self.get("sdk_git")?,
            _ => env!("CARGO_PKG_REPOSITORY"),
        };
        Ok(repository.to_owned())
    }

    /// The value of a key. The template writes one answer a line, and lets none have quotes or backslashes.
    fn get(&self, key: &'static str) -> Result<&str, UpdateError> {
        let value = self.text.lines().find_map(|line| {
            let (found, value) = line.split_once('=')?;
            let (value, _) = value.trim_start().strip_prefix('"')?.split_once('"')?;
            (found.trim() == key && !value.is_empty()).then_some(value)
        });
        value.ok_or_else(|| UpdateError::Answer {
            file: self.file.clone(),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(sdk: &str) -> Answers {
        Answers {
            file: FILE.into(),
            text: format!(
                "# `name = \"comment\"`\nname = \"reef\"\ntemplate_version=\"0.1.0\" # was 0.0.9\n\n[values]\n\
                 description = \"sdk = all\"\n{sdk}\n"
            ),
        }
    }

    #[test]
    fn name_and_release_are_read_from_the_file() {
        let answers = answers("");
        assert_eq!(answers.name().unwrap(), "reef");
        assert_eq!(answers.release().unwrap(), "v0.1.0");
    }

    #[test]
    fn the_template_is_where_the_library_comes_from() {
        for (sdk, repository) in [
            ("sdk = \"path\"\nsdk_path = \"../sdk\"", "../sdk"),
            (
                "sdk = \"git\"\nsdk_git = \"ssh://host/sdk\"",
                "ssh://host/sdk",
            ),
            (
                "sdk = \"crates.io\"\nsdk_version = \"0.1.0\"",
                "https://github.com/open-AIMS/reefguide-worker",
            ),
        ] {
            assert_eq!(answers(sdk).repository().unwrap(), repository);
        }
    }

    #[test]
    fn an_answer_that_is_missing_is_named_with_its_file() {
        let error = answers("sdk = \"git\"\nsdk_git = \"\"").repository();
        insta::assert_snapshot!(error.unwrap_err(), @r#"template-answers.toml has no line `sdk_git = "…"`: restore the line from the file's first commit"#);
    }

    #[test]
    fn a_folder_without_answers_is_no_worker() {
        let folder = tempfile::tempdir().unwrap();
        let error = Answers::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(folder.path().join(FILE).to_str().unwrap()));
    }
}
