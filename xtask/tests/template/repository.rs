//! The working tree as a git repository that can be cloned.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::tools::root;
use crate::worker::git;

/// A repository whose first commit has every file of the working tree that git does not ignore.
pub(crate) struct Repository {
    folder: TempDir,
}

impl Repository {
    pub(crate) fn of_the_working_tree() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listed = [
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ];
        for file in git(root(), &listed).split_terminator('\0') {
            let (from, to) = (root().join(file), folder.path().join(file));
            if from.is_file() {
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(from, to).unwrap();
            }
        }
        git(folder.path(), &["init", "--quiet"]);
        let repository = Self { folder };
        repository.commit("The working tree");
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, file: &str) -> PathBuf {
        self.path().join(file)
    }

    pub(crate) fn commit(&self, message: &str) {
        git(self.path(), &["add", "--all"]);
        git(self.path(), &["commit", "--quiet", "--message", message]);
    }

    pub(crate) fn tag(&self, tag: &str) {
        git(self.path(), &["tag", tag]);
    }

    /// Replaces `from`, which must be in the file.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(self.file(file), text.replace(from, to)).unwrap();
    }
}
