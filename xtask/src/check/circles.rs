//! Circles of files that import each other.
//!
//! What a file imports from its own child modules does not count: it declares them and re-exports what they define, so
//! every `use super::…` of a child would close a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::imports::Import;

/// So many lines are shown for each pair of files.
const LINES_SHOWN: usize = 3;

/// Files that all import each other, directly or through the others.
#[derive(Debug)]
pub(crate) struct Circle {
    pub(crate) files: BTreeSet<PathBuf>,
    imports: BTreeMap<(PathBuf, PathBuf), Vec<usize>>,
}

/// The circles among the files of one crate.
pub(crate) fn circles(imports: &[Import]) -> Vec<Circle> {
    let mut lines = BTreeMap::<_, Vec<_>>::new();
    for import in imports {
        if import.from != import.to && !import.is_own_child {
            let files = (import.from.clone(), import.to.clone());
            lines.entry(files).or_default().push(import.line);
        }
    }
    let mut targets = BTreeMap::<&Path, BTreeSet<&Path>>::new();
    for (from, to) in lines.keys() {
        targets.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<_, _> = targets
        .keys()
        .map(|&file| (file, reached_from(file, &targets)))
        .collect();
    let mut found = Vec::<Circle>::new();
    for (&file, reachable) in &reached {
        if found.iter().any(|circle| circle.files.contains(file)) || !reachable.contains(file) {
            continue;
        }
        let files: BTreeSet<_> = reachable
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)))
            .map(|&other| other.to_owned())
            .collect();
        let imports = lines
            .iter()
            .filter(|((from, to), _)| files.contains(from) && files.contains(to))
            .map(|(pair, lines)| (pair.clone(), lines.clone()))
            .collect();
        found.push(Circle { files, imports });
    }
    found
}

fn reached_from<'a>(
    file: &'a Path,
    targets: &BTreeMap<&'a Path, BTreeSet<&'a Path>>,
) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        for &target in targets.get(next).into_iter().flatten() {
            if reached.insert(target) {
                open.push(target);
            }
        }
    }
    reached
}

impl Circle {
    /// The lines that make the circle, with paths from `root`.
    pub(crate) fn describe(&self, root: &Path) -> String {
        let short = |file: &Path| {
            file.strip_prefix(root)
                .unwrap_or(file)
                .display()
                .to_string()
        };
        let files: Vec<_> = self.files.iter().map(|file| short(file)).collect();
        let mut text = format!("a circle of {} files: {}", files.len(), files.join(", "));
        for ((from, to), lines) in &self.imports {
            let source = fs::read_to_string(from).unwrap_or_default();
            for &line in lines.iter().take(LINES_SHOWN) {
                let code = source.lines().nth(line - 1).unwrap_or_default().trim();
                let _ = write!(text, "\n  {}:{line} -> {}: {code}", short(from), short(to));
            }
            if lines.len() > LINES_SHOWN {
                let _ = write!(text, "\n    and {} more", lines.len() - LINES_SHOWN);
            }
        }
        text
    }
}
