//! The page of the book that shows the figures and how they were measured.

use std::fs;
use std::path::PathBuf;
use std::thread::available_parallelism;

use jiff::Timestamp;

use crate::failure::{Doing, Failure};

/// Replaces the figures of `server` on the page by `figures`.
pub(super) fn write(server: &str, figures: &str) -> Result<PathBuf, Failure> {
    let page = crate::workspace().join("docs/benchmarks.md");
    let doing = format!("writing figures to {}", page.display());
    let before = fs::read_to_string(&page).doing(&doing)?;
    let after = replaced(&before, server, figures).ok_or_else(|| {
        let [begin, end] = markers(server);
        Failure::new(format!("{doing}: it has no lines {begin} and {end}"))
    })?;
    fs::write(&page, after).doing(&doing)?;
    Ok(page)
}

/// When, on which machine, with which command and which `versions` figures were measured.
pub(super) fn origin(versions: &[String]) -> String {
    let date = Timestamp::now().strftime("%Y-%m-%d");
    let cores = available_parallelism().map_or(0, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = model(&cpu).unwrap_or("an unknown CPU");
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    format!(
        "`cargo xtask {}` on {date}, {cores} cores of {cpu}: {}.",
        arguments.join(" "),
        versions.join(", ")
    )
}

fn model(cpuinfo: &str) -> Option<&str> {
    let mut lines = cpuinfo.lines();
    let line = lines.find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn markers(server: &str) -> [String; 2] {
    ["begin", "end"].map(|place| format!("<!-- {place} {server} -->"))
}

/// `page` with `figures` between the markers of `server`, if it has them.
fn replaced(page: &str, server: &str, figures: &str) -> Option<String> {
    let [begin, end] = markers(server);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{figures}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_figures_of_a_server_replace_its_old_ones() {
        let page = "a\n<!-- begin sink -->\nold\n<!-- end sink -->\nb\n<!-- begin lab -->\n<!-- end lab -->\n";
        let once = replaced(page, "sink", "new").unwrap();
        assert_eq!(
            once,
            "a\n<!-- begin sink -->\n\nnew\n\n<!-- end sink -->\nb\n<!-- begin lab -->\n<!-- end lab -->\n"
        );
        assert_eq!(replaced(&once, "sink", "new").unwrap(), once);
        assert_eq!(replaced(page, "sink-tls", "new"), None);
    }

    #[test]
    fn the_page_has_a_place_for_every_server() {
        use clap::ValueEnum;
        let page = crate::workspace().join("docs/benchmarks.md");
        let page = fs::read_to_string(page).unwrap();
        for kind in super::super::server::Kind::value_variants() {
            assert!(replaced(&page, &kind.to_string(), "").is_some(), "{kind}");
        }
    }
}
