//! Colours and progress bars, which appear only on a terminal.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use crate::fixture::CliFixture;

/// A pseudo-terminal and a thread that reads what is written to it until it is closed.
struct Terminal {
    inside: File,
    written: JoinHandle<String>,
}

impl Terminal {
    fn new(columns: u16) -> Self {
        let outside = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&outside).unwrap();
        unlockpt(&outside).unwrap();
        let name = ptsname(&outside, Vec::new()).unwrap();
        let inside = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&inside, size).unwrap();
        let written = std::thread::spawn(move || {
            let (mut outside, mut written) = (File::from(outside), Vec::new());
            // Reading fails once the terminal is closed.
            let _ = outside.read_to_end(&mut written);
            String::from_utf8(written).unwrap()
        });
        Self {
            inside: inside.into(),
            written,
        }
    }

    /// Runs a command with this terminal as stdout and stderr, and returns what it writes.
    fn shows(self, mut command: std::process::Command) -> String {
        command
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .stdout(self.inside.try_clone().unwrap())
            .stderr(self.inside);
        command.status().unwrap();
        // The command holds copies of the terminal.
        drop(command);
        self.written.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_have_colours_on_a_terminal_without_no_color() {
    let cli = CliFixture::new().await;
    cli.log_in_as("worker@email.com");
    cli.finished_job(&[]).await;
    for args in [["show", "1"], ["watch", "1"], ["jobs", "--all"]] {
        let shown = Terminal::new(80).shows(cli.process(&args));
        assert!(
            shown.contains("\u{1b}[") && shown.contains("SUCCEEDED"),
            "{shown:?}"
        );
        let mut plain = cli.process(&args);
        plain.env("NO_COLOR", "1");
        let shown = Terminal::new(80).shows(plain);
        assert!(
            !shown.contains('\u{1b}') && shown.contains("SUCCEEDED"),
            "{shown:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_shows_a_bar_that_is_cleared_when_it_is_done() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("file.bin", vec![7; 400_000])]).await;
    let slow = Fault::slow_pieces(Route::S3Get, Duration::from_millis(300));
    cli.lab.faults().add(slow);
    let shown = Terminal::new(100).shows(cli.process(&["download", &job, "--to", "out"]));
    assert!(shown.contains("of 391 KiB"), "{shown:?}");
    // The bar's line is cleared, and only the table after it stays.
    let (bar, stays) = shown.rsplit_once("\u{1b}[2K").unwrap();
    assert!(bar.contains("0 of 1 files"), "{shown:?}");
    assert!(
        stays.trim_start_matches('\r').starts_with(" FILE"),
        "{shown:?}"
    );
    assert!(stays.contains("out/file.bin"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_a_batch_stay_above_its_bar() {
    let cli = CliFixture::logged_in().await;
    let lines: Vec<_> = (0..4).map(|id| json!({ "id": id }).to_string()).collect();
    cli.write("batch.jsonl", &lines.join("\n"));
    let submit = ["submit", "TEST", "--batch", "batch.jsonl", "--rate", "4"];
    let shown = Terminal::new(80).shows(cli.process(&submit));
    assert!(shown.contains(" of 4 jobs"), "{shown:?}");
    for id in 1..=4 {
        // At the start of a line that is new or was cleared.
        let line = format!("{id}\r\n");
        let before = shown.split_once(&line).unwrap().0;
        assert!(
            before.is_empty() || before.ends_with(['K', '\r', '\n']),
            "{id}: {shown:?}"
        );
    }
    assert!(
        !shown.rsplit("\u{1b}[2K").next().unwrap().contains("jobs"),
        "{shown:?}"
    );
}
