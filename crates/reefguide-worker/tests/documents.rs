//! What READMEs and book say against the code, where compiling their examples does not tell.

use std::fmt::Write as _;

use reefguide_worker::service::config::{Config, WhenUnset};

const README: &str = include_str!("../../../README.md");
const CRATE_README: &str = include_str!("../README.md");
const FIRST_WORKER: &str = include_str!("../../../docs/src/first-worker.md");
const CONFIGURATION: &str = include_str!("../../../docs/src/configuration.md");

/// What stands between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

fn table_of_settings() -> String {
    let mut table =
        String::from("| variable | what it is | needs | when unset |\n| --- | --- | --- | --- |\n");
    for variable in Config::variables() {
        let unset = match variable.when_unset {
            WhenUnset::Value(value) => format!("`{value}`"),
            other => other.to_string(),
        };
        let (name, description, needs) = (variable.name, variable.description, variable.needs());
        let _ = writeln!(table, "| `{name}` | {description} | {needs} | {unset} |");
    }
    table
}

#[test]
fn the_table_of_settings_is_that_of_the_code() {
    let found = between(
        CONFIGURATION,
        "<!-- settings -->\n",
        "<!-- end of settings -->",
    )
    .unwrap();
    let table = table_of_settings();
    assert!(
        found == table,
        "docs/src/configuration.md is out of date; between its marks must stand:\n\n{table}"
    );
}

#[test]
fn the_first_worker_is_the_same_everywhere() {
    let worker = |page| between(page, "```rust,no_run\n", "```").unwrap();
    assert_eq!(worker(README), worker(CRATE_README));
    assert_eq!(worker(README), worker(FIRST_WORKER));
}
