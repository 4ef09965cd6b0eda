//! `cargo xtask check`: the structure of the code, compared with the rules and with the page that describes it.

mod circles;
mod exceptions;
mod imports;
mod manifests;
mod page;
pub(crate) mod public_types;
mod sizes;
mod source;
mod syntax;
mod tables;
#[cfg(test)]
mod tests;
mod workspace;

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;

use self::circles::circles;
use self::exceptions::{KNOWN_CIRCLES, LONG_FILES};
use self::imports::{Import, imports};
use self::source::Modules;
use self::workspace::Workspace;
use crate::failure::Failure;
use crate::session::Ended;

/// Compares the structure of the code with the rules, and with the page about the architecture
///
/// It names circles of files, imports that a room should not have, long files and unsorted dependencies. `cargo test
/// --package xtask` runs the same checks.
#[derive(Args, Debug)]
pub(crate) struct Options {}

/// Runs the checks.
pub(crate) fn check(_options: &Options) -> Result<(), Ended> {
    let found: Vec<_> = structure(crate::workspace())?
        .iter()
        .filter_map(Findings::describe)
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::new(found.join("\n\n")).into())
}

/// A library or program of the workspace, as it has been read.
#[derive(Debug)]
struct Target<'a> {
    root: &'a Path,
    modules: Modules,
    imports: Vec<Import>,
}

/// What a check looks for, and what it has found.
pub(crate) struct Findings {
    title: &'static str,
    /// How to fix them.
    hint: &'static str,
    pub(crate) all: Vec<String>,
}

/// All checks of the repository's structure.
pub(crate) fn structure(root: &Path) -> Result<Vec<Findings>, Failure> {
    let workspace = Workspace::read(root)?;
    let mut targets = Vec::new();
    for package in &workspace.packages {
        for root in package.roots() {
            let modules = Modules::read(root)?;
            targets.push(Target {
                root,
                imports: imports(&modules),
                modules,
            });
        }
    }
    Ok(vec![
        Findings {
            title: "circles of files",
            hint: "Move what both need into a file below them. Known circles are listed in xtask/src/check/exceptions.rs.",
            all: unknown_circles(&workspace, &targets, KNOWN_CIRCLES),
        },
        Findings {
            title: "the page about the architecture",
            hint: page::FORMAT,
            all: page::contradictions(&workspace, &targets)?,
        },
        Findings {
            title: "sizes of files",
            hint: "Long files are listed with a reason in xtask/src/check/exceptions.rs.",
            all: sizes::oversized(&workspace, LONG_FILES)?,
        },
        Findings {
            title: "order of dependencies",
            hint: "",
            all: manifests::unsorted(&workspace)?,
        },
    ])
}

/// Circles that are not listed, and listed ones that are not there.
fn unknown_circles(
    workspace: &Workspace,
    targets: &[Target<'_>],
    known: &[&[&str]],
) -> Vec<String> {
    let mut known: BTreeSet<BTreeSet<String>> = known
        .iter()
        .map(|files| files.iter().map(|&file| file.to_owned()).collect())
        .collect();
    let mut found = Vec::new();
    for circle in targets.iter().flat_map(|target| circles(&target.imports)) {
        let files = circle.files.iter().map(|file| workspace.short(file));
        if !known.remove(&files.collect()) {
            found.push(circle.describe(&workspace.root));
        }
    }
    for gone in known {
        let files: Vec<_> = gone.into_iter().collect();
        found.push(format!(
            "listed as a circle, but these files are none: {}",
            files.join(", ")
        ));
    }
    found
}

impl Findings {
    /// The text for a person; `None` if there are none.
    pub(crate) fn describe(&self) -> Option<String> {
        if self.all.is_empty() {
            return None;
        }
        let mut text = format!("{}:\n", self.title);
        for finding in &self.all {
            text.push_str(&format!("- {finding}\n"));
        }
        text.push_str(self.hint);
        Some(text)
    }
}
