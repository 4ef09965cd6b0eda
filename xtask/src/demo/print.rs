//! Printing for the person who watches the demo.

use std::fmt::{Arguments, Display};
use std::io::Write;

/// Prints one step of the setup.
pub(super) fn step(what: &str, how: Arguments<'_>) {
    say(format_args!("{what:<10} {how}"));
}

/// Prints a line. The demo goes on if stdout is closed.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
