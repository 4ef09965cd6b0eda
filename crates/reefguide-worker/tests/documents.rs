//! What READMEs and book say against the code, where compiling their examples does not tell.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;

use reefguide_lab::Lab;
use reefguide_worker::service::config::{Config, WhenUnset};

const README: &str = include_str!("../../../README.md");
const CRATE_README: &str = include_str!("../README.md");
const FIRST_WORKER: &str = include_str!("../../../docs/src/first-worker.md");
const PROMISES: &str = include_str!("../../../docs/src/promises.md");
const CONFIGURATION: &str = include_str!("../../../docs/src/configuration.md");
const ENV_DIST: &str = include_str!("../../../template/.env.dist");

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

/// Every variable, explained; those of the lab with the values that it prints.
fn env_dist(lab: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Every setting of the worker. As it stands this file is for the lab on this machine; copy it to .env, which is not\n\
         # committed, and change what is different for you. The environment goes before .env.\n",
    );
    for variable in Config::variables() {
        let (name, description, needs) = (variable.name, variable.description, variable.needs());
        let _ = writeln!(text, "\n# {description}\n# Needs {needs}.");
        let _ = match (
            lab.iter().find(|(set, _)| *set == name),
            variable.when_unset,
        ) {
            (Some((_, value)), _) => writeln!(text, "{name}={value}"),
            (None, WhenUnset::Value(value)) => writeln!(text, "#{name}={value}"),
            (None, unset) => writeln!(text, "# When unset: {unset}.\n#{name}="),
        };
    }
    text
}

#[tokio::test]
async fn the_template_explains_every_setting() {
    let lab = Lab::builder().start().await.unwrap();
    // The ports that `reefguide-lab up` takes by default.
    let env: Vec<_> = lab
        .env()
        .into_iter()
        .map(|(name, value)| {
            let value = value.replace(lab.api_endpoint(), "http://127.0.0.1:5000");
            (
                name,
                value.replace(lab.s3_endpoint(), "http://127.0.0.1:9000"),
            )
        })
        .collect();
    let text = env_dist(&env);
    assert!(
        ENV_DIST == text,
        "template/.env.dist is out of date; it must be:\n\n{text}"
    );
}

/// The text of every test program of this crate, and of those that run a worker as a process.
fn tests() -> String {
    let mut text = String::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("tests"), here.join("../process-tests/tests")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_promise_has_its_tests() {
    let tests = tests();
    let table = PROMISES.split_once("| --- | --- |\n").unwrap().1;
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let mut promises = 0;
    for row in rows {
        let names: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            let test = format!("async fn {name}()");
            assert!(tests.contains(&test), "there is no test `{name}`: {row}");
        }
        promises += 1;
    }
    assert!(promises > 10, "{promises} promises were found");
}
