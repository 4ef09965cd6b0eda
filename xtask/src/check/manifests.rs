//! The order of dependencies in the manifests.

use std::fs;

use super::workspace::Workspace;
use crate::failure::{Doing, Failure};

/// Dependencies that come before one that should come first. A blank line or a comment begins a new group.
pub(crate) fn unsorted(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let manifests = workspace
        .packages
        .iter()
        .map(|package| package.manifest_path.clone())
        .chain([workspace.root.join("Cargo.toml")]);
    for manifest in manifests {
        let text =
            fs::read_to_string(&manifest).doing(format_args!("reading {}", manifest.display()))?;
        let file = workspace.short(&manifest);
        found.extend(
            unsorted_in(&text)
                .into_iter()
                .map(|(line, problem)| format!("{file}:{line}: {problem}")),
        );
    }
    Ok(found)
}

fn unsorted_in(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_dependencies = false;
    let mut before: Option<&str> = None;
    for (number, line) in (1..).zip(manifest.lines()) {
        if let Some(table) = line.strip_prefix('[') {
            is_dependencies = table.trim_end().ends_with("dependencies]");
            before = None;
        } else if line.trim().is_empty() || line.starts_with('#') {
            before = None;
        } else if is_dependencies
            && line.starts_with(|first: char| first.is_alphanumeric())
            && let Some(name) = line.split(['.', ' ', '=']).next()
        {
            if let Some(before) = before
                && name < before
            {
                found.push((number, format!("`{name}` comes before `{before}`")));
            }
            before = Some(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_sorted_within_each_group() {
        let manifest = "\
[package]
version = \"1\"
name = \"x\"

[dependencies]
b.workspace = true
b-c = \"1\"
d = { version = \"1\", features = [
    \"a\",
] }

# Only for its features.
a = \"1\"

[dev-dependencies]
a = \"1\"
";
        assert!(unsorted_in(manifest).is_empty());
    }

    #[test]
    fn a_dependency_out_of_order_is_named_with_its_line() {
        let manifest = "[workspace.dependencies]\nb = \"1\"\na = \"1\"\n\n[features]\nz = []\ny = []\n\
            [target.'cfg(unix)'.dependencies]\nd = \"1\"\nc.workspace = true\n";
        assert_eq!(
            unsorted_in(manifest),
            [
                (3, "`a` comes before `b`".to_owned()),
                (10, "`c` comes before `d`".to_owned()),
            ]
        );
    }
}
