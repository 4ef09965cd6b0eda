//! The page about the architecture, compared with the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Target;
use super::tables::{Row, names, rows, section};
use super::workspace::Workspace;
use crate::failure::{Doing, Failure};

/// How the tables have to be written.
pub(crate) const FORMAT: &str = "\
Section `## Crates…`: a table whose last column is `depends on`, with a row for each package of the workspace. Its first cell is the
package's folder in backticks, its last cell the workspace's packages that it depends on in backticks (without dev-dependencies).
The section names every top-level folder in backticks.
Section `## The rooms…`: tables whose last column is `knows`. Each module that crates/reefguide-worker/src/lib.rs declares is in one first
cell, in backticks; a cell may have several. The last cell is what the room may import: room names in backticks, or the word all, or
all but, followed by room names in backticks.";

/// The crate whose rooms the page describes.
const ROOMS_OF: &str = "reefguide-worker";

/// Where page and code disagree.
pub(super) fn contradictions(
    workspace: &Workspace,
    targets: &[Target<'_>],
) -> Result<Vec<String>, Failure> {
    let page = find(&workspace.root)?;
    let text = fs::read_to_string(&page).doing(format_args!("reading {}", page.display()))?;
    let page = workspace.short(&page);
    let part = |heading: &str| {
        section(&text, heading)
            .ok_or_else(|| Failure::new(format!("{page} has no section `{heading}`")))
    };
    let mut found = Vec::new();

    let (line, crates) = part("## Crates")?;
    let table = rows(line, crates, "depends on");
    found.extend(crates_unlike(workspace, &table, &page));
    let named: BTreeSet<_> = names(crates)
        .iter()
        .filter_map(|name| Some(name.split('/').next()?.to_owned()))
        .collect();
    for folder in top_level(&workspace.root)? {
        if !named.contains(&folder) {
            found.push(format!("{page}: `{folder}` is not named in `## Crates`"));
        }
    }

    let (line, rooms) = part("## The rooms")?;
    let table = rows(line, rooms, "knows");
    let library = workspace
        .packages
        .iter()
        .find(|package| package.name == ROOMS_OF)
        .and_then(|package| package.library());
    let target = targets
        .iter()
        .find(|target| Some(target.root) == library)
        .ok_or_else(|| Failure::new(format!("{ROOMS_OF} has no library")))?;
    found.extend(rooms_unlike(workspace, target, &table, &page));
    Ok(found)
}

/// The page, in either place of the book.
fn find(root: &Path) -> Result<PathBuf, Failure> {
    let book = root.join("docs/src");
    ["explanation/architecture.md", "architecture.md"]
        .iter()
        .map(|page| book.join(page))
        .find(|page| page.is_file())
        .ok_or_else(|| Failure::new("there is no page architecture.md in docs/src"))
}

/// The folders of the top level, without hidden ones.
fn top_level(root: &Path) -> Result<BTreeSet<String>, Failure> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .doing("starting git")?;
    if !listed.status.success() {
        let stderr = String::from_utf8_lossy(&listed.stderr);
        return Err(Failure::new(format!("git ls-files failed: {stderr}")));
    }
    let listed = String::from_utf8_lossy(&listed.stdout);
    Ok(listed
        .split('\0')
        .filter_map(|file| Some(file.split_once('/')?.0))
        .filter(|folder| !folder.starts_with('.'))
        .map(str::to_owned)
        .collect())
}

fn crates_unlike(workspace: &Workspace, table: &[Row], page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rows: BTreeMap<_, _> = table
        .iter()
        .filter_map(|row| Some((row.names.first()?.as_str(), row)))
        .collect();
    for package in &workspace.packages {
        let folder = workspace.short(package.folder());
        let actual = package.own_dependencies();
        let expected = actual.iter().map(|name| format!("`{name}`"));
        let expected = expected.collect::<Vec<_>>().join(", ");
        match rows.remove(folder.as_str()) {
            None => found.push(format!(
                "{page}: no row for | `{folder}` | … | {expected} |"
            )),
            Some(row) => {
                let mut written = names(&row.last);
                written.sort_unstable();
                if written != actual {
                    let line = row.line;
                    found.push(format!("{page}:{line}: `{folder}` depends on: {expected}"));
                }
            }
        }
    }
    for (folder, row) in rows {
        found.push(format!(
            "{page}:{}: there is no package `{folder}`",
            row.line
        ));
    }
    found
}

/// What a room may import.
enum Knows {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Knows {
    fn parse(cell: &str) -> Self {
        let rooms = names(cell).into_iter().collect();
        if cell.starts_with("all") {
            Self::AllBut(rooms)
        } else {
            Self::Only(rooms)
        }
    }

    fn allows(&self, room: &str) -> bool {
        match self {
            Self::Only(rooms) => rooms.contains(room),
            Self::AllBut(rooms) => !rooms.contains(room),
        }
    }

    fn named(&self) -> &BTreeSet<String> {
        let (Self::Only(rooms) | Self::AllBut(rooms)) = self;
        rooms
    }
}

fn rooms_unlike(
    workspace: &Workspace,
    target: &Target<'_>,
    table: &[Row],
    page: &str,
) -> Vec<String> {
    let rooms = &target.modules.all[0].children;
    let mut found = Vec::new();
    let mut allowed = BTreeMap::new();
    for row in table {
        for room in &row.names {
            let knows = Knows::parse(&row.last);
            for other in knows.named() {
                if !rooms.contains_key(other) {
                    found.push(format!("{page}:{}: there is no room `{other}`", row.line));
                }
            }
            if !rooms.contains_key(room) {
                found.push(format!("{page}:{}: there is no room `{room}`", row.line));
            }
            if allowed.contains_key(room.as_str()) {
                found.push(format!("{page}:{}: `{room}` is here twice", row.line));
            } else {
                allowed.insert(room.as_str(), knows);
            }
        }
    }
    let mut actual = BTreeMap::<_, BTreeSet<_>>::new();
    for import in &target.imports {
        let Some(room) = &import.room else { continue };
        for other in &import.rooms {
            if let Some(knows) = allowed.get(room.as_str())
                && !knows.allows(other)
            {
                let file = workspace.short(&import.from);
                let line = import.line;
                let text =
                    format!("{file}:{line}: `{room}` imports `{other}`, which it does not know");
                // One line may import several things.
                if found.last() != Some(&text) {
                    found.push(text);
                }
            }
            actual.entry(room.clone()).or_default().insert(other);
        }
    }
    for room in rooms.keys() {
        if !allowed.contains_key(room.as_str()) {
            let knows = actual.get(room).into_iter().flatten();
            let knows: Vec<_> = knows.map(|room| format!("`{room}`")).collect();
            found.push(format!(
                "{page}: no row for | `{room}` | … | {} |",
                knows.join(", ")
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::imports::imports;
    use super::super::source::Modules;
    use super::*;

    fn workspace(root: &Path, packages: &Value) -> Workspace {
        serde_json::from_value(json!({
            "workspace_root": root,
            "target_directory": root.join("target"),
            "packages": packages,
        }))
        .unwrap()
    }

    #[test]
    fn the_table_of_crates_is_compared_with_the_manifests() {
        let dependency = |name: &str, kind: Option<&str>, path: Option<&str>| json!({ "name": name, "kind": kind, "path": path });
        let package = |name: &str, dependencies: &[Value]| {
            json!({
                "name": name, "manifest_path": format!("/w/crates/{name}/Cargo.toml"),
                "dependencies": dependencies, "features": {}, "publish": null, "targets": [],
            })
        };
        let packages = json!([
            package("a", &[dependency("serde", None, None)]),
            package("b", &[dependency("a", None, Some("/w/crates/a"))]),
            package(
                "c",
                &[
                    dependency("b", None, Some("/w/crates/b")),
                    dependency("a", Some("dev"), Some("/w/crates/a"))
                ]
            ),
            package("d", &[]),
        ]);
        let workspace = workspace(Path::new("/w"), &packages);
        let table = "| crate | what | depends on |\n| --- | --- | --- |\n\
            | `crates/a` | first | |\n| `crates/b` | second | `a`, and `c` |\n| `crates/c` | third | `b` |\n\
            | `crates/e` | gone | |";
        assert_eq!(
            crates_unlike(&workspace, &rows(1, table, "depends on"), "page"),
            [
                "page:4: `crates/b` depends on: `a`",
                "page: no row for | `crates/d` | … |  |",
                "page:6: there is no package `crates/e`",
            ]
        );
    }

    /// What a page with these rows has wrong about a crate with the rooms `above`, `below` and `side`.
    fn rooms(table: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("lib.rs", "mod above;\nmod below;\nmod side;"),
            (
                "above.rs",
                "use crate::below::{Below, More};\nuse super::side;",
            ),
            ("below.rs", "pub struct Below;\npub struct More;"),
            (
                "side.rs",
                "pub use crate::below::Below;\nfn f(_: crate::above::Above) {}",
            ),
        ] {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let root = folder.path().join("lib.rs");
        let modules = Modules::read(&root).unwrap();
        let target = Target {
            root: &root,
            imports: imports(&modules),
            modules,
        };
        let workspace = workspace(folder.path(), &json!([]));
        let table = format!("| room | knows |\n| --- | --- |\n{table}");
        rooms_unlike(&workspace, &target, &rows(1, &table, "knows"), "page")
    }

    #[test]
    fn rooms_that_know_what_they_import_pass() {
        let listed =
            "| `above` | `below`, `side` |\n| `below` | nothing |\n| `side` | `above`, `below` |";
        assert!(rooms(listed).is_empty(), "{:?}", rooms(listed));
        let broad = "| `above`, `side` | all |\n| `below` | all but `above`, `side` |";
        assert!(rooms(broad).is_empty(), "{:?}", rooms(broad));
    }

    #[test]
    fn an_import_that_a_room_does_not_know_is_named_with_its_line() {
        let found = rooms("| `above` | `side` |\n| `below` | |\n| `side` | all but `above` |");
        assert_eq!(
            found,
            [
                "above.rs:1: `above` imports `below`, which it does not know",
                "side.rs:2: `side` imports `above`, which it does not know",
            ]
        );
    }

    #[test]
    fn rooms_that_the_page_or_the_code_lacks_are_named() {
        let found =
            rooms("| `above` | all |\n| `cellar` | `attic` |\n| `below` | |\n| `above` | |");
        assert_eq!(
            found,
            [
                "page:4: there is no room `attic`",
                "page:4: there is no room `cellar`",
                "page:6: `above` is here twice",
                "page: no row for | `side` | … | `above`, `below` |",
            ]
        );
    }
}
