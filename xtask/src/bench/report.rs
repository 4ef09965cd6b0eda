//! Tables of the figures of many runs.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::case::{Case, Direction};
use super::client::Tool;
use super::measure::Run;
use super::server::Kind;

/// The most that ours should take; `None` means no target.
struct Targets {
    /// Time, as a share of s5cmd's.
    of_s5cmd: Option<f64>,
    /// Time, as a share of the fastest peer's.
    of_fastest: Option<f64>,
    /// CPU time, as a share of s5cmd's.
    cpu: Option<f64>,
    /// Memory, in MiB.
    peak: f64,
}

impl Targets {
    /// Time and CPU have targets only against the sink, where the client is the bottleneck.
    fn of(server: Kind, case: Case) -> Self {
        let small = case.load.is_of_many();
        let up = case.direction == Direction::Up;
        let of_s5cmd = match server {
            Kind::Sink if up && small => Some(0.65),
            Kind::Sink if up => Some(0.8),
            Kind::Sink => Some(0.85),
            Kind::SinkTls if up && small => Some(0.35),
            Kind::SinkTls if up && case.load.files == 1 => Some(0.65),
            Kind::SinkDelay if small => Some(0.5),
            _ => None,
        };
        let on_sink = |share| (server == Kind::Sink).then_some(share);
        Self {
            of_s5cmd,
            of_fastest: on_sink(0.9),
            cpu: on_sink(0.65),
            peak: 48.0,
        }
    }
}

/// The runs of one tool in one case.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) case: Case,
    pub(super) tool: Tool,
    pub(super) runs: Vec<Run>,
}

impl Series {
    /// The medians, and the highest peak.
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
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Ours compared with its peers and the targets, one row for each case. Series of a case follow one another.
pub(super) fn comparison(server: Kind, all: &[Series]) -> String {
    let mut table = table([
        "case",
        "time / s5cmd",
        "time / fastest peer",
        "CPU / s5cmd",
        "peak MiB",
        "targets",
    ]);
    for series in all.chunk_by(|a, b| a.case == b.case) {
        let typical = |tool| {
            let series = series.iter().find(|series| series.tool == tool)?;
            Some(series.typical())
        };
        let Some(ours) = typical(Tool::Ours) else {
            continue;
        };
        let s5cmd = typical(Tool::S5cmd);
        let fastest = series
            .iter()
            .filter(|series| series.tool != Tool::Ours)
            .map(|series| (series.typical().wall, series.tool))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let of_fastest = fastest.map(|(wall, _)| ours.wall / wall);
        let cpu = s5cmd.map(|s5cmd| ours.cpu / s5cmd.cpu);
        let peak = mebibytes(ours.peak);
        let of_s5cmd = s5cmd.map(|s5cmd| ours.wall / s5cmd.wall);
        let targets = Targets::of(server, series[0].case);
        let missed: Vec<_> = [
            ("time / s5cmd", of_s5cmd, targets.of_s5cmd),
            ("time / fastest", of_fastest, targets.of_fastest),
            ("CPU", cpu, targets.cpu),
            ("memory", Some(peak), Some(targets.peak)),
        ]
        .into_iter()
        .filter_map(|(name, is, most)| {
            let (is, most) = (is?, most?);
            (is > most).then(|| format!("{name} > {most}"))
        })
        .collect();
        let mark = match missed[..] {
            [] => "good".to_owned(),
            _ => format!("missed: {}", missed.join(", ")),
        };
        let fastest = fastest.map_or_else(String::new, |(_, tool)| format!(" ({})", tool.name()));
        table.add_row([
            series[0].case.to_string(),
            ratio(of_s5cmd),
            ratio(of_fastest) + &fastest,
            ratio(cpu),
            format!("{peak:.0}"),
            mark,
        ]);
    }
    text(&mut table, [1, 2, 3, 4])
}

/// The figures of every tool.
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
    text(&mut table, [2, 3, 4, 5, 6, 7])
}

/// `-` without a peer to compare with.
fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A table that is also Markdown.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).force_no_tty();
    table.set_header(header);
    table
}

fn text<const N: usize>(table: &mut Table, numbers: [usize; N]) -> String {
    for (index, column) in table.column_iter_mut().enumerate() {
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(case: &str, tool: Tool, walls: &[f64], cpu: f64, peak: u64) -> Series {
        let peak = peak << 20;
        let run = |&wall| Run { wall, cpu, peak };
        Series {
            case: Case::named(case).unwrap(),
            tool,
            runs: walls.iter().map(run).collect(),
        }
    }

    fn all() -> Vec<Series> {
        vec![
            series("1x1GiB-up", Tool::Ours, &[1.0, 0.5, 9.0], 0.9, 20),
            series("1x1GiB-up", Tool::S5cmd, &[2.0, 2.0], 1.8, 21),
            series("1x1GiB-up", Tool::Rclone, &[1.6, 1.6], 1.2, 90),
            series("1x1GiB-down", Tool::Ours, &[1.0, 2.0], 3.0, 65),
            series("1x1GiB-down", Tool::S5cmd, &[1.0], 2.0, 21),
            series("20x32MiB-up", Tool::Ours, &[1.0], 1.0, 64),
        ]
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 9.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0].into_iter()), 3.0);
        assert_eq!(median([].into_iter()), 0.0);
    }

    #[test]
    fn ours_is_compared_with_s5cmd_and_the_fastest_and_held_to_the_targets() {
        insta::assert_snapshot!(comparison(Kind::Sink, &all()), @r"
        | case        | time / s5cmd | time / fastest peer | CPU / s5cmd | peak MiB | targets                                                                    |
        |-------------|--------------|---------------------|-------------|----------|----------------------------------------------------------------------------|
        | 1x1GiB-up   |         0.50 |       0.62 (rclone) |        0.50 |       20 | good                                                                       |
        | 1x1GiB-down |         1.50 |        1.50 (s5cmd) |        1.50 |       65 | missed: time / s5cmd > 0.85, time / fastest > 0.9, CPU > 0.65, memory > 48 |
        | 20x32MiB-up |            - |                   - |           - |       64 | missed: memory > 48                                                        |
        ");
    }

    #[test]
    fn a_server_that_stores_has_a_target_for_memory_alone() {
        insta::assert_snapshot!(comparison(Kind::Lab, &all()[..5]), @r"
        | case        | time / s5cmd | time / fastest peer | CPU / s5cmd | peak MiB | targets             |
        |-------------|--------------|---------------------|-------------|----------|---------------------|
        | 1x1GiB-up   |         0.50 |       0.62 (rclone) |        0.50 |       20 | good                |
        | 1x1GiB-down |         1.50 |        1.50 (s5cmd) |        1.50 |       65 | missed: memory > 48 |
        ");
    }

    #[test]
    fn figures_are_medians_and_highest_peaks() {
        insta::assert_snapshot!(figures(&all()), @r"
        | case        | tool   | seconds | fastest | slowest | MiB/s | CPU seconds | peak MiB |
        |-------------|--------|---------|---------|---------|-------|-------------|----------|
        | 1x1GiB-up   | ours   |    1.00 |    0.50 |    9.00 |  1024 |        0.90 |       20 |
        | 1x1GiB-up   | s5cmd  |    2.00 |    2.00 |    2.00 |   512 |        1.80 |       21 |
        | 1x1GiB-up   | rclone |    1.60 |    1.60 |    1.60 |   640 |        1.20 |       90 |
        | 1x1GiB-down | ours   |    1.50 |    1.00 |    2.00 |   683 |        3.00 |       65 |
        | 1x1GiB-down | s5cmd  |    1.00 |    1.00 |    1.00 |  1024 |        2.00 |       21 |
        | 20x32MiB-up | ours   |    1.00 |    1.00 |    1.00 |   640 |        1.00 |       64 |
        ");
    }
}
