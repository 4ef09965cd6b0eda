//! What is different on a terminal.

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

use crate::desk::Desk;

/// A terminal, and what was written to it by the time that all others have closed it.
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
            // Ends with an error once the terminal is closed.
            let _ = outside.read_to_end(&mut written);
            String::from_utf8(written).unwrap()
        });
        Self {
            inside: inside.into(),
            written,
        }
    }

    /// What a command writes if stdout and stderr are this terminal.
    fn shows(self, mut command: std::process::Command) -> String {
        command
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .stdout(self.inside.try_clone().unwrap())
            .stderr(self.inside);
        command.status().unwrap();
        // It has copies of the terminal.
        drop(command);
        self.written.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_have_colours_on_a_terminal_unless_they_are_not_wanted() {
    let desk = Desk::new().await;
    desk.log_in_as("worker@email.com");
    desk.done(&[]).await;
    for args in [["show", "1"], ["watch", "1"], ["jobs", "--all"]] {
        let shown = Terminal::new(80).shows(desk.process(&args));
        assert!(
            shown.contains("\u{1b}[") && shown.contains("SUCCEEDED"),
            "{shown:?}"
        );
        let mut plain = desk.process(&args);
        plain.env("NO_COLOR", "1");
        let shown = Terminal::new(80).shows(plain);
        assert!(
            !shown.contains('\u{1b}') && shown.contains("SUCCEEDED"),
            "{shown:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_shows_a_bar_that_goes_when_it_is_done() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[("file.bin", vec![7; 400_000])]).await;
    let slow = Fault::slow_pieces(Route::S3Get, Duration::from_millis(300));
    desk.lab.faults().add(slow);
    let shown = Terminal::new(100).shows(desk.process(&["download", &job, "--to", "out"]));
    assert!(shown.contains("of 391 KiB"), "{shown:?}");
    // The bar's line is cleared, and what comes after it is all that stays.
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
    let desk = Desk::logged_in().await;
    let lines: Vec<_> = (0..4).map(|id| json!({ "id": id }).to_string()).collect();
    desk.write("batch.jsonl", &lines.join("\n"));
    let submit = ["submit", "TEST", "--batch", "batch.jsonl", "--rate", "4"];
    let shown = Terminal::new(80).shows(desk.process(&submit));
    assert!(shown.contains(" of 4 jobs"), "{shown:?}");
    for id in 1..=4 {
        // At the beginning of a line that was cleared or is new.
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
