//! How long the files are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::workspace::Workspace;
use crate::failure::{Doing, Failure};

/// Half of the files have no more lines than this.
const MEDIAN: usize = 160;
/// A longer file has two ideas, or a reason.
const LONGEST: usize = 500;

/// What is wrong with the sizes of the files in `crates/*/src`. `reasons` has the files that may be longer.
pub(crate) fn oversized(
    workspace: &Workspace,
    reasons: &[(&str, &str)],
) -> Result<Vec<String>, Failure> {
    let mut files = BTreeMap::new();
    for package in workspace.crates() {
        for file in rust_files(&package.folder().join("src"))? {
            let text =
                fs::read_to_string(&file).doing(format_args!("reading {}", file.display()))?;
            files.insert(workspace.short(&file), text.lines().count());
        }
    }
    Ok(judged(&files, reasons))
}

fn judged(files: &BTreeMap<String, usize>, reasons: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut sizes: Vec<_> = files.values().copied().collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    if median > MEDIAN {
        found.push(format!(
            "half of the files in crates/*/src have {median} lines or more; {MEDIAN} are enough"
        ));
    }
    for (file, &lines) in files {
        if lines > LONGEST && !reasons.iter().any(|(listed, _)| listed == file) {
            found.push(format!(
                "{file} has {lines} lines, more than {LONGEST}, and no reason is listed"
            ));
        }
    }
    for (file, _) in reasons {
        match files.get(*file) {
            None => found.push(format!("{file} is listed as long, and is not there")),
            Some(lines) if *lines <= LONGEST => found.push(format!(
                "{file} is listed as long, and has only {lines} lines"
            )),
            Some(_) => {}
        }
    }
    found
}

/// The Rust files in a folder, at any depth.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let what = format!("listing {}", folder.display());
        for entry in fs::read_dir(&folder).doing(&what)? {
            let path = entry.doing(&what)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(files: &[(&str, usize)], reasons: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|&(file, lines)| (file.to_owned(), lines))
            .collect();
        judged(&files, reasons)
    }

    #[test]
    fn files_are_short_or_have_a_reason() {
        let reasons = [("long.rs", "a table")];
        assert!(judge(&[("a.rs", 160), ("b.rs", 500)], &[]).len() == 1);
        assert!(judge(&[("a.rs", 160), ("b.rs", 160), ("long.rs", 501)], &reasons).is_empty());
        assert_eq!(
            judge(&[("a.rs", 160), ("b.rs", 160), ("long.rs", 501)], &[]),
            ["long.rs has 501 lines, more than 500, and no reason is listed"]
        );
    }

    #[test]
    fn the_median_is_what_half_of_the_files_reach() {
        assert_eq!(
            judge(&[("a.rs", 1), ("b.rs", 161), ("c.rs", 162)], &[]),
            ["half of the files in crates/*/src have 161 lines or more; 160 are enough"]
        );
    }

    #[test]
    fn a_reason_that_is_not_needed_is_a_finding() {
        let reasons = [("gone.rs", "it was long"), ("short.rs", "it was long")];
        assert_eq!(
            judge(&[("short.rs", 10)], &reasons),
            [
                "gone.rs is listed as long, and is not there",
                "short.rs is listed as long, and has only 10 lines"
            ]
        );
    }
}
