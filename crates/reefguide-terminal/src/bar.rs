//! A progress bar.

use std::io::{self, Write};
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use reefguide_transport::TransferProgress;

use crate::log_queue;

/// How often the bar is drawn.
const REFRESH: Duration = Duration::from_millis(200);
/// The most draws per second, which is the library's default.
const DRAWS: u8 = 20;
/// How long to wait at the end until the bar is removed.
const GONE: Duration = Duration::from_millis(100);

/// A progress bar at the bottom of the terminal. It is drawn five times a second and removed when its work is done or
/// dropped. If stderr is not a terminal, nothing is shown.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    target: ProgressDrawTarget,
}

/// How far the work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// How much is done.
    pub done: u64,
    /// How much there is in total.
    pub of: u64,
    /// The text beside the bar.
    pub message: String,
}

impl Bar {
    /// A bar on stderr.
    pub fn stderr() -> Self {
        Self::new(ProgressDrawTarget::stderr())
    }

    /// A bar on stderr that is drawn through the log queue, so that a stopped terminal does not stop the work.
    pub fn in_log() -> Self {
        let terminal = Term::read_write_pair(io::stdin(), log_queue::stderr());
        Self::new(ProgressDrawTarget::term(terminal, DRAWS))
    }

    fn new(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::hidden();
        Self { bar, target }
    }

    /// Returns a function that creates writers to `out`. What they write appears above the bar.
    pub fn above<W: Write>(&self, out: fn() -> W) -> impl Fn() -> Above<W> + use<W> {
        let bar = self.bar.clone();
        move || Above {
            bar: bar.clone(),
            out: out(),
        }
    }

    /// Runs `work` and shows the progress of its transfers, starting with the first file.
    ///
    /// As cancel safe as `work`.
    pub async fn during<T>(self, progress: &TransferProgress, work: impl Future<Output = T>) -> T {
        let now = || {
            let now = progress.now();
            (now.files_found > 0).then(|| Position {
                done: now.bytes,
                of: now.bytes_found,
                message: now.to_string(),
            })
        };
        self.show("{bar:30} {msg}, {binary_bytes_per_sec}", now, work)
            .await
    }

    /// Runs `work` and shows its progress as `now` reports it.
    pub async fn counting<T>(self, now: impl Fn() -> Position, work: impl Future<Output = T>) -> T {
        self.show("{bar:30} {msg}, {eta} left", || Some(now()), work)
            .await
    }

    async fn show<T>(
        self,
        template: &str,
        now: impl Fn() -> Option<Position>,
        work: impl Future<Output = T>,
    ) -> T {
        let Self { bar, target } = self;
        let shown = Shown(bar.clone());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let showing = async {
            while now().is_none() {
                tokio::time::sleep(REFRESH).await;
            }
            bar.set_draw_target(target);
            loop {
                // Lines that wait in the queue mean that the terminal is stopped.
                if let Some(now) = now().filter(|_| log_queue::is_idle()) {
                    bar.set_length(now.of);
                    bar.set_position(now.done);
                    bar.set_message(now.message);
                }
                tokio::time::sleep(REFRESH).await;
            }
        };
        let done = tokio::select! {
            biased;
            done = work => done,
            never = showing => never,
        };
        drop(shown);
        done
    }
}

/// Removes the bar from the terminal when it is dropped, before anything else is written there.
struct Shown(ProgressBar);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        log_queue::flush(GONE);
    }
}

/// A writer that hides the bar while it writes.
#[derive(Debug)]
pub struct Above<W> {
    bar: ProgressBar,
    out: W,
}

impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| self.out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use indicatif::TermLike;

    use super::*;

    /// A terminal with a bottom line, which can be cleared, and lines above it, which stay.
    #[derive(Debug)]
    struct Screen {
        bottom: String,
        above: Vec<String>,
        drawn: Vec<String>,
    }

    static SCREEN: Mutex<Screen> = Mutex::new(Screen {
        bottom: String::new(),
        above: Vec::new(),
        drawn: Vec::new(),
    });

    #[derive(Debug)]
    struct Terminal;

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)?;
            self.write_str("\n")
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            let mut screen = SCREEN.lock().unwrap();
            for part in text.split_inclusive('\n') {
                screen.bottom += part;
                let bottom = screen.bottom.clone();
                if part.ends_with('\n') {
                    screen.bottom.clear();
                    screen.above.push(bottom);
                } else {
                    screen.drawn.push(bottom);
                }
            }
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            SCREEN.lock().unwrap().bottom.clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_str(std::str::from_utf8(bytes).unwrap())?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bar_shows_transfers_below_the_log_and_disappears_when_its_work_is_done_or_dropped() {
        let progress = TransferProgress::default();
        let bar = Bar::new(ProgressDrawTarget::term_like(Box::new(Terminal)));
        let log = bar.above(|| Terminal);
        let work = async {
            log().write_all(b"begun\n").unwrap();
            assert_eq!(
                SCREEN.lock().unwrap().bottom,
                "",
                "nothing is transferred yet"
            );
            let _transferring = progress.begin();
            progress.found(10);
            progress.moved(10);
            progress.done();
            tokio::time::sleep(REFRESH * 5).await;
            log().write_all(b"moved\n").unwrap();
            let bottom = SCREEN.lock().unwrap().bottom.clone();
            assert!(bottom.contains("1 of 1 files, 1 of 1 KiB"), "{bottom:?}");
        };
        bar.during(&progress, work).await;
        log().write_all(b"ended\n").unwrap();
        let drawn = {
            let screen = SCREEN.lock().unwrap();
            assert_eq!(screen.above, ["begun\n", "moved\n", "ended\n"]);
            assert_eq!(screen.bottom, "");
            screen.drawn.len()
        };
        assert!(drawn > 0);

        let bar = Bar::new(ProgressDrawTarget::term_like(Box::new(Terminal)));
        let endless = bar.during(&progress, std::future::pending::<()>());
        tokio::time::timeout(REFRESH * 5, endless)
            .await
            .unwrap_err();
        let screen = SCREEN.lock().unwrap();
        assert!(screen.drawn.len() > drawn);
        assert_eq!(screen.bottom, "");
    }
}
