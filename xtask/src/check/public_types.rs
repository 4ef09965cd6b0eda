//! `cargo xtask public-types`: what of other crates is in the API of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::workspace::{Package, Workspace};
use crate::failure::{Doing, Failure};
use crate::session::Ended;

/// The format that is understood. Another Rust may write another: see what has changed in it.
const FORMAT: u32 = 57;

/// These are as stable as the language.
const STANDARD: [&str; 3] = ["alloc", "core", "std"];

/// Compares the types of other crates in our public API with the reviewed lists
///
/// A breaking change of such a type is a breaking change of ours, so each one is a decision. There is a list for each
/// published library in xtask/public-types.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Write the lists instead; look at what has changed
    #[arg(long)]
    write: bool,
}

/// The part of rustdoc's JSON that says what an API names.
#[derive(Debug, Deserialize)]
struct Documentation {
    format_version: u32,
    index: BTreeMap<String, Item>,
    paths: BTreeMap<String, Summary>,
}

#[derive(Debug, Deserialize)]
struct Item {
    crate_id: u32,
    inner: Value,
}

#[derive(Debug, Deserialize)]
struct Summary {
    crate_id: u32,
    path: Vec<String>,
}

/// Runs the comparison.
pub(crate) fn public_types(options: &Options) -> Result<(), Ended> {
    let root = crate::workspace();
    let workspace = Workspace::read(root)?;
    let documented = document(&workspace)?;
    let lists = root.join("xtask/public-types");
    let mut found = Vec::new();
    for (library, types) in &documented {
        let list = lists.join(format!("{library}.txt"));
        if options.write {
            let text: String = types.iter().map(|name| format!("{name}\n")).collect();
            fs::write(&list, text).doing(format_args!("writing {}", list.display()))?;
        } else {
            let listed = fs::read_to_string(&list).unwrap_or_default();
            found.extend(differences(&workspace.short(&list), types, &listed));
        }
    }
    for list in abandoned(&lists, &documented)? {
        if options.write {
            fs::remove_file(&list).doing(format_args!("removing {}", list.display()))?;
        } else {
            let list = workspace.short(&list);
            found.push(format!("{list} is of no published library"));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    found.push("If they should be in the API: cargo xtask public-types --write".to_owned());
    Err(Failure::new(found.join("\n")).into())
}

/// What of other crates each published library shows.
fn document(workspace: &Workspace) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let features: Vec<_> = workspace
        .published_libraries()
        .flat_map(Package::features)
        .collect();
    // The same units as in `cargo doc` of the workspace, so that nothing below them is built for this.
    let status = Command::new("cargo")
        .args(["doc", "--workspace", "--no-deps", "--lib", "--locked"])
        .args(["--features", &features.join(",")])
        .env("RUSTDOC", workspace.root.join("xtask/rustdoc-json"))
        .env_remove("RUSTDOCFLAGS")
        .current_dir(&workspace.root)
        .status()
        .doing("starting cargo doc")?;
    if !status.success() {
        return Err(Failure::new("cargo doc failed; see above"));
    }
    let own: BTreeSet<_> = workspace
        .packages
        .iter()
        .map(|package| package.name.replace('-', "_"))
        .collect();
    let mut documented = BTreeMap::new();
    for package in workspace.published_libraries() {
        let file = format!("doc/{}.json", package.name.replace('-', "_"));
        let file = workspace.target_directory.join(file);
        let text = fs::read(&file).doing(format_args!("reading {}", file.display()))?;
        let documentation: Documentation =
            serde_json::from_slice(&text).doing(format_args!("reading {}", file.display()))?;
        if documentation.format_version != FORMAT {
            return Err(Failure::new(format!(
                "rustdoc writes format {} of its JSON; format {FORMAT} is understood",
                documentation.format_version
            )));
        }
        documented.insert(package.name.clone(), external(&documentation, &own));
    }
    Ok(documented)
}

/// The types, traits, macros and modules of other crates that the items of a crate name: as `crate::Name`, for the modules
/// between them are their crate's own affair.
fn external(documentation: &Documentation, own: &BTreeSet<String>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for item in documentation.index.values() {
        // What is implemented for every type, by the compiler or by other crates.
        let is_given = item.inner.get("impl").is_some_and(|inner| {
            inner["is_synthetic"] == Value::Bool(true) || !inner["blanket_impl"].is_null()
        });
        if item.crate_id == 0 && !is_given {
            collect_ids(&item.inner, &mut ids);
        }
    }
    ids.iter()
        .filter_map(|id| documentation.paths.get(id))
        .filter(|summary| summary.crate_id != 0)
        .filter_map(|summary| Some((summary.path.first()?, summary.path.last()?)))
        .filter(|(krate, _)| !STANDARD.contains(&krate.as_str()) && !own.contains(*krate))
        .map(|(krate, name)| {
            if krate == name {
                krate.clone()
            } else {
                format!("{krate}::{name}")
            }
        })
        .collect()
}

/// The ids of everything that is named: an object with an id and a path or a name.
fn collect_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_ids(value, ids)),
        Value::Object(fields) => {
            if let Some(id) = fields.get("id").and_then(Value::as_u64)
                && (fields.contains_key("path") || fields.contains_key("name"))
            {
                ids.insert(id.to_string());
            }
            fields.values().for_each(|value| collect_ids(value, ids));
        }
        _ => {}
    }
}

fn differences(list: &str, types: &BTreeSet<String>, listed: &str) -> Vec<String> {
    let listed: BTreeSet<_> = listed.lines().map(str::to_owned).collect();
    let added = types
        .difference(&listed)
        .map(|name| format!("{name} is in the API, and not in {list}"));
    let gone = listed
        .difference(types)
        .map(|name| format!("{name} is in {list}, and not in the API"));
    added.chain(gone).collect()
}

/// Lists of libraries that are not there.
fn abandoned(
    lists: &Path,
    documented: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<PathBuf>, Failure> {
    let what = format!("listing {}", lists.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(lists).doing(&what)? {
        let path = entry.doing(&what)?.path();
        let library = path.file_stem().unwrap_or_default().to_string_lossy();
        if !documented.contains_key(library.as_ref()) {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_of_other_crates_are_found_wherever_the_api_names_them() {
        let inner = json!({
            "function": { "sig": {
                "inputs": [["uri", { "borrowed_ref": { "type": { "resolved_path": { "path": "Uri", "id": 1 } } } }]],
                "output": { "resolved_path": { "path": "Vec", "id": 2, "args": { "angle_bracketed": { "args": [
                    { "type": { "resolved_path": { "path": "Bytes", "id": 3 } } },
                    { "type": { "resolved_path": { "path": "Job", "id": 4 } } },
                    { "type": { "resolved_path": { "path": "Mine", "id": 5 } } },
                ] } } } },
            } },
        });
        let re_export =
            json!({ "use": { "source": "serde", "name": "serde", "id": 6, "is_glob": false } });
        let blanket = json!({ "impl": {
            "is_synthetic": false, "blanket_impl": { "generic": "T" }, "trait": { "path": "Instrument", "id": 7 },
        } });
        let documentation: Documentation = serde_json::from_value(json!({
            "format_version": FORMAT,
            "index": {
                "10": { "crate_id": 0, "inner": inner },
                "11": { "crate_id": 0, "inner": re_export },
                "12": { "crate_id": 0, "inner": blanket },
            },
            "paths": {
                "1": { "crate_id": 20, "path": ["http", "uri", "Uri"] },
                "2": { "crate_id": 1, "path": ["alloc", "vec", "Vec"] },
                "3": { "crate_id": 21, "path": ["bytes", "bytes", "Bytes"] },
                "4": { "crate_id": 22, "path": ["ours", "Job"] },
                "5": { "crate_id": 0, "path": ["this", "Mine"] },
                "6": { "crate_id": 23, "path": ["serde"] },
                "7": { "crate_id": 24, "path": ["tracing", "Instrument"] },
            },
        }))
        .unwrap();
        let found = external(&documentation, &BTreeSet::from(["ours".to_owned()]));
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["bytes::Bytes", "http::Uri", "serde"]);
    }

    #[test]
    fn a_list_differs_by_what_it_lacks_and_by_what_it_has_too_many() {
        let types = BTreeSet::from(["a::A".to_owned(), "b::B".to_owned()]);
        assert_eq!(
            differences("list", &types, "b::B\nc::C\n"),
            [
                "a::A is in the API, and not in list",
                "c::C is in list, and not in the API"
            ]
        );
        assert!(differences("list", &types, "a::A\nb::B\n").is_empty());
    }
}
