//! What the READMEs and the book say, compared with the code, where compiling their examples is not enough.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use reefguide_lab::Lab;
use reefguide_worker::app::Exit;
use reefguide_worker::app::Signal;
use reefguide_worker::app::config::{Config, WhenUnset};

const README: &str = include_str!("../../../README.md");
const CRATE_README: &str = include_str!("../README.md");
const FIRST_WORKER: &str = include_str!("../../../docs/src/tutorial/first-worker.md");
const LOGS: &str = include_str!("../../../docs/src/reference/logs.md");
const EXIT_CODES: &str = include_str!("../../../docs/src/reference/exit-codes.md");
const SUMMARY: &str = include_str!("../../../docs/src/SUMMARY.md");
const BOOK: &str = include_str!("../src/book.rs");
const EXIT: &str = include_str!("../../reefguide-terminal/src/exit.rs");
const PROMISES: &str = include_str!("../../../docs/src/explanation/promises.md");
const SETTINGS: &str = include_str!("../../../docs/src/reference/settings.md");
const ENV_DIST: &str = include_str!("../../../template/.env.dist");

/// The text between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}

fn table_of_settings() -> String {
    let mut table = String::from(
        "| variable | what it is | expected | when unset |\n| --- | --- | --- | --- |\n",
    );
    for variable in Config::variables() {
        let unset = match variable.when_unset {
            WhenUnset::Value(value) => format!("`{}`", value()),
            other => other.to_string(),
        };
        let (name, description) = (variable.name, variable.description);
        let expected = variable.expected();
        let _ = writeln!(table, "| `{name}` | {description} | {expected} | {unset} |");
    }
    table
}

#[test]
fn the_table_of_settings_matches_the_code() {
    let found = between(SETTINGS, "<!-- settings -->\n", "<!-- end of settings -->").unwrap();
    let table = table_of_settings();
    assert!(
        found == table,
        "docs/src/reference/settings.md is out of date; it must have this between its marks:\n\n{table}"
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
        let (name, description) = (variable.name, variable.description);
        let _ = writeln!(
            text,
            "\n# {description}\n# Expected: {}.",
            variable.expected()
        );
        let _ = match (
            lab.iter().find(|(set, _)| *set == name),
            variable.when_unset,
        ) {
            (Some((_, value)), _) => writeln!(text, "{name}={value}"),
            (None, WhenUnset::Value(value)) => writeln!(text, "#{name}={}", value()),
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

/// The files below folders whose names end in `extension`, with their texts.
fn files(mut folders: Vec<PathBuf>, extension: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files
}

/// The texts of all Rust files in folders of this crate.
fn sources(folders: &[&str]) -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = folders.iter().map(|folder| here.join(folder)).collect();
    let files = files(folders, "rs").into_iter();
    files.map(|(_, text)| text).collect()
}

/// The arguments of a macro whose call begins with `text`, after its parenthesis.
fn arguments(text: &str) -> Vec<String> {
    let (mut arguments, mut depth, mut quoted) = (vec![String::new()], 0, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => match characters.next().unwrap() {
                '\n' => characters = characters.as_str().trim_start().chars(),
                escaped => arguments.last_mut().unwrap().push(escaped),
            },
            ')' if !quoted && depth == 0 => break,
            ',' if !quoted && depth == 0 => arguments.push(String::new()),
            _ => {
                match character {
                    '"' => quoted = !quoted,
                    '(' | '[' | '{' if !quoted => depth += 1,
                    ')' | ']' | '}' if !quoted => depth -= 1,
                    _ => {}
                }
                arguments.last_mut().unwrap().push(character);
            }
        }
    }
    arguments
}

/// The beginnings of the rows for what a text logs: message, level, fields.
fn logged(text: &str) -> Vec<String> {
    // The tests of a file come last.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut rows = Vec::new();
    for level in ["info", "warn", "error"] {
        for call in text.split(&format!("tracing::{level}!(")).skip(1) {
            let arguments = arguments(call);
            let arguments: Vec<_> = arguments.iter().map(|argument| argument.trim()).collect();
            let (message, fields): (Vec<&str>, Vec<&str>) = arguments
                .iter()
                .filter(|argument| !argument.is_empty())
                .partition(|argument| argument.starts_with('"'));
            let message = message[0].trim_matches('"');
            let fields = fields.iter().map(|field| {
                let name = field
                    .split('=')
                    .next()
                    .unwrap()
                    .trim()
                    .trim_start_matches(['%', '?']);
                format!("`{name}`")
            });
            let fields = match fields.collect::<Vec<_>>().join(", ") {
                fields if fields.is_empty() => "none".to_owned(),
                fields => fields,
            };
            rows.push(format!("| `{message}` | {level} | {fields} |"));
        }
    }
    rows
}

#[test]
fn the_book_has_every_line_that_a_worker_logs() {
    let texts = sources(&[
        "src",
        "../reefguide-client/src",
        "../reefguide-jobs/src",
        "../reefguide-storage/src",
        "../reefguide-terminal/src",
        "../reefguide-transport/src",
    ]);
    let logged: BTreeSet<String> = texts.iter().flat_map(|text| logged(text)).collect();
    let rows = LOGS.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<&str> = rows.filter(|row| row.matches(" | ").count() == 3).collect();
    let missing: Vec<_> = logged
        .iter()
        .filter(|logged| !rows.iter().any(|row| row.starts_with(*logged)))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/src/reference/logs.md lacks rows that begin so: {missing:#?}"
    );
    let surplus: Vec<_> = rows
        .iter()
        .filter(|row| !logged.iter().any(|logged| row.starts_with(logged)))
        .collect();
    assert!(
        surplus.is_empty(),
        "docs/src/reference/logs.md has rows for what is not logged: {surplus:#?}"
    );
    assert!(logged.len() > 50, "only {} lines were found", logged.len());
}

#[test]
fn the_book_has_every_exit_code() {
    let table = |text: &str| -> Vec<String> {
        let rows = text.split_once("| code | meaning |\n").unwrap().1;
        let rows = rows.lines().map(|row| row.trim_start_matches("/// "));
        rows.skip(1)
            .take_while(|row| row.starts_with('|'))
            .map(str::to_owned)
            .collect()
    };
    let rows = table(EXIT_CODES);
    assert_eq!(rows, table(EXIT));
    let exits = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Unreachable,
        Exit::Internal,
        Exit::Unwritten,
        Exit::Refused,
        Exit::Config,
        Exit::Signalled(Signal::Hangup),
        Exit::Signalled(Signal::Interrupt),
        Exit::Signalled(Signal::Terminate),
    ];
    let codes: Vec<_> = rows
        .iter()
        .map(|row| row.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(codes, exits.map(|exit| exit.code().to_string()));
}

/// The text of every test of the crates that a worker is made of, and of the programs that run one as a process.
fn tests() -> String {
    sources(&[
        "src",
        "tests",
        "../process-tests/tests",
        "../reefguide-client/src",
        "../reefguide-jobs/src",
        "../reefguide-client/tests",
        "../reefguide-jobs/tests",
        "../reefguide-storage/src",
        "../reefguide-storage/tests",
    ])
    .concat()
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
            let test = format!("fn {name}()");
            assert!(tests.contains(&test), "there is no test `{name}`: {row}");
        }
        promises += 1;
    }
    assert!(promises > 10, "{promises} promises were found");
}

/// The pages of the book by their paths in it, with their texts.
fn pages() -> Vec<(String, String)> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src");
    let pages = files(vec![book.clone()], "md");
    pages
        .into_iter()
        .map(|(path, text)| {
            (
                path.strip_prefix(&book).unwrap().display().to_string(),
                text,
            )
        })
        .filter(|(path, _)| path != "SUMMARY.md")
        .collect()
}

/// The code within the sentences of a page, without its examples.
fn inline_code(page: &str) -> Vec<String> {
    let prose: String = page.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2);
    spans
        .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Whether it can only be a message: three words or more, and no command.
fn is_message(code: &str) -> bool {
    const COMMANDS: [&str; 8] = [
        "COPY",
        "MIT",
        "cargo",
        "docker",
        "git",
        "just",
        "reefguide",
        "worker",
    ];
    let words: Vec<_> = code.split(' ').collect();
    let is_word = |word: &&str| {
        word.chars()
            .all(|character| character.is_alphanumeric() || "',;:.-".contains(character))
    };
    words.len() > 2 && words.iter().all(is_word) && !COMMANDS.contains(&words[0])
}

#[test]
fn every_message_that_the_book_quotes_is_in_the_code() {
    let sources = sources(&["../"]);
    // A string may be continued on the next line.
    let sources: Vec<String> = sources
        .iter()
        .map(|source| {
            let mut lines = source.split("\\\n");
            let first = lines.next().unwrap_or_default().to_owned();
            lines.fold(first, |text, line| text + line.trim_start())
        })
        .collect();
    // That page quotes the real API.
    let pages = pages()
        .into_iter()
        .filter(|(page, _)| page != "reference/api-contract.md");
    let quoted: Vec<_> = pages
        .flat_map(|(page, text)| {
            inline_code(&text)
                .into_iter()
                .map(move |code| (page.clone(), code))
        })
        .filter(|(_, code)| is_message(code))
        .collect();
    let missing: Vec<_> = quoted
        .iter()
        .filter(|(_, message)| !sources.iter().any(|source| source.contains(message)))
        .collect();
    assert!(
        missing.is_empty(),
        "pages in docs/src quote messages that no source has: {missing:#?}"
    );
    assert!(quoted.len() > 40, "{} messages were found", quoted.len());
}

#[test]
fn every_page_is_in_the_summary() {
    let pages = pages();
    for (page, _) in &pages {
        assert!(SUMMARY.contains(&format!("]({page})")), "{page}");
    }
    assert!(pages.len() > 20, "{} pages were found", pages.len());
}

#[test]
fn the_rust_of_every_page_is_compiled() {
    for (page, text) in pages() {
        let compiled = BOOK.contains(&format!("\"docs/src/{page}\""));
        assert_eq!(text.contains("```rust"), compiled, "{page}");
    }
}

#[test]
fn the_way_to_install_is_on_one_page() {
    for (page, text) in pages() {
        let installs = [
            "cargo install --git",
            "cargo install reefguide",
            "crates.io",
        ]
        .into_iter()
        .any(|way| text.contains(way));
        assert_eq!(installs, page == "how-to/install.md", "{page}");
    }
}

#[test]
fn the_worker_is_the_first_process_of_its_containers() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template");
    for (file, container, init) in [
        ("compose.yaml.liquid", "    build:", "init: true"),
        (
            "deploy/ecs.yaml.liquid",
            "          Image:",
            "InitProcessEnabled",
        ),
    ] {
        let text = std::fs::read_to_string(template.join(file)).unwrap();
        assert!(text.contains(container), "{file}");
        // It would have the worker's environment, for the programs of handlers to read.
        assert!(!text.contains(init), "{file}");
    }
}
