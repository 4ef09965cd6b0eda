//! `cargo xtask controls`: runs the fault matrix against a library without its guards.

mod guards;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use clap::Args;
use comfy_table::Table;
use tokio::process::Command;

use self::guards::{GUARDS, Guard};
use self::tree::Tree;
use crate::failure::Failure;
use crate::process::output;
use crate::session::{Ended, Session};

/// Check that the fault matrix notices when a guard of the library is missing
///
/// Each guard is removed from the source text of a copy of the workspace, in `target/controls`, one at a time, and the
/// cases of the matrix that should notice are run. They must fail with a violation of an invariant that the guard keeps.
/// First they must pass with all guards in place. It takes about ten seconds for each guard.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Remove only guards whose names contain this
    filter: Option<String>,
}

/// Runs the controls.
pub(crate) fn controls(options: &Options) -> Result<(), Ended> {
    let filter = options.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> = GUARDS
        .iter()
        .filter(|guard| guard.name.contains(filter))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = GUARDS.iter().map(|guard| guard.name).collect();
        let names = names.join(", ");
        return Err(
            Failure::new(format!("no guard is called `{filter}`; there are: {names}")).into(),
        );
    }
    let session = Session::begin("reefguide-controls")?;
    session.run(run(&chosen))
}

async fn run(chosen: &[&Guard]) -> Result<(), Failure> {
    let tree = Tree::copy(crate::workspace()).await?;
    let cases: Vec<_> = chosen.iter().map(|guard| guard.cases).collect();
    let started = Instant::now();
    let found = violations(tree.folder(), &cases.join(",")).await?;
    if !found.is_empty() {
        return Err(Failure::new(format!(
            "the matrix fails with all guards in place: {}",
            list(&found)
        )));
    }
    println!(
        "all guards in place: no violation, {:.0} s",
        started.elapsed().as_secs_f64()
    );

    let mut table = Table::new();
    table.set_header(["without the guard", "cases", "caught by"]);
    let mut missed = Vec::new();
    for guard in chosen {
        let started = Instant::now();
        let mutation = tree.without(guard)?;
        let found = violations(tree.folder(), guard.cases).await?;
        drop(mutation);
        println!(
            "without {}: {}, {:.0} s",
            guard.name,
            list(&found),
            started.elapsed().as_secs_f64()
        );
        if !guard
            .caught_by
            .iter()
            .any(|invariant| found.contains_key(*invariant))
        {
            missed.push(guard.name);
        }
        table.add_row([guard.name, guard.cases, &list(&found)]);
    }
    println!("\n{table}\n");
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the fault matrix does not notice when these are missing: {}",
        missed.join(", ")
    )))
}

fn list(found: &BTreeMap<String, usize>) -> String {
    if found.is_empty() {
        return "nothing".to_owned();
    }
    let each = found
        .iter()
        .map(|(invariant, count)| format!("{invariant} × {count}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Builds the matrix in `folder`, runs some of its cases, and counts the violations of each invariant.
async fn violations(folder: &Path, cases: &str) -> Result<BTreeMap<String, usize>, Failure> {
    let cargo = |more: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args([
                "test",
                "--quiet",
                "--package",
                "reefguide-worker",
                "--test",
                "matrix",
            ])
            .args(more)
            .current_dir(folder)
            // In the target folder of the workspace, dependencies are built already.
            .env("CARGO_TARGET_DIR", crate::workspace().join("target"))
            .env("RUST_BACKTRACE", "0")
            .env("MATRIX_ONLY", cases)
            .stdin(Stdio::null());
        command
    };
    let (status, _, err) = output("cargo test --no-run", &mut cargo(&["--no-run"])).await?;
    if !status.success() {
        return Err(Failure::new(format!("the matrix does not compile:\n{err}")));
    }
    let (status, out, err) = output("the fault matrix", &mut cargo(&[])).await?;
    let found = count_violations(&out);
    if status.success() == found.is_empty() {
        return Ok(found);
    }
    Err(Failure::new(format!(
        "the fault matrix ended with {status}:\n{out}{err}"
    )))
}

/// The violations that the matrix lists, a line each: `case (seed 1): invariant: what was seen`.
fn count_violations(report: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in report.lines() {
        let violation = line
            .split_once(" (seed ")
            .and_then(|(_, rest)| rest.split_once("): "));
        if let Some((invariant, _)) =
            violation.and_then(|(_, violation)| violation.split_once(": "))
        {
            *counts.entry(invariant.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_where_the_table_says_exactly_once() {
        for guard in GUARDS {
            let source = std::fs::read_to_string(crate::workspace().join(guard.file)).unwrap();
            let times = source.matches(guard.text).count();
            assert_eq!(
                times, 1,
                "{}: in {} times in {}",
                guard.name, times, guard.file
            );
            assert_ne!(guard.text, guard.without, "{}", guard.name);
        }
    }

    #[test]
    fn violations_are_counted_by_their_invariant() {
        let report = "fault matrix: 2 cases\npoll/400/calm (seed 7): ended: job 1 is IN_PROGRESS\n\
                      poll/400/error (seed 8): ended: job 2 is IN_PROGRESS\nnote: run with …\n";
        assert_eq!(
            count_violations(report),
            BTreeMap::from([("ended".to_owned(), 2)])
        );
    }
}
