//! Figures of many runs, put together.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::case::Case;
use super::client::Tool;
use super::measure::Run;

/// The runs of one tool in one case.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) case: Case,
    pub(super) tool: Tool,
    pub(super) runs: Vec<Run>,
}

impl Series {
    /// What is typical: medians, and the highest of the peaks.
    fn typical(&self) -> Run {
        let of = |figure: fn(&Run) -> f64| median(self.runs.iter().map(figure));
        Run {
            wall: of(|run| run.wall),
            cpu: of(|run| run.cpu),
            peak: self.runs.iter().map(|run| run.peak).max().unwrap_or(0),
        }
    }
}

/// The middle one, or the mean of the two in the middle; 0 if there are none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (count, middle) if count % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// What every tool took.
pub(super) fn figures(all: &[Series]) -> String {
    let mut table = table([
        "case",
        "tool",
        "seconds",
        "fastest",
        "slowest",
        "MiB/s",
        "CPU seconds",
        "peak MiB",
    ]);
    for series in all {
        let typical = series.typical();
        let walls = || series.runs.iter().map(|run| run.wall);
        table.add_row([
            series.case.to_string(),
            series.tool.name().to_owned(),
            format!("{:.2}", typical.wall),
            format!("{:.2}", walls().fold(f64::INFINITY, f64::min)),
            format!("{:.2}", walls().fold(0.0, f64::max)),
            format!("{:.0}", mebibytes(series.case.load.bytes()) / typical.wall),
            format!("{:.2}", typical.cpu),
            format!("{:.0}", mebibytes(typical.peak)),
        ]);
    }
    text(&mut table, 2)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A table that is Markdown too, its first columns, `names` of them, to the left.
fn text(table: &mut Table, names: usize) -> String {
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).force_no_tty();
    table.set_header(header);
    table
}
