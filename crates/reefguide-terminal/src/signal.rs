//! The signals that ask a process to end.

use std::{fmt, fs};

use tokio::signal::unix::SignalKind;

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: the terminal is gone.
    Hangup,
    /// SIGINT, from Ctrl-C.
    Interrupt,
    /// SIGTERM, from ECS or `docker stop`.
    Terminate,
}

impl Signal {
    /// The signals that ask this process to end. SIGHUP is left out if the process ignores it, as `nohup` arranges; on
    /// systems without `/proc` this cannot be detected.
    pub fn awaited() -> Vec<Self> {
        let mut awaited = vec![Self::Interrupt, Self::Terminate];
        if !is_ignored(Self::Hangup) {
            awaited.push(Self::Hangup);
        }
        awaited
    }

    /// The signal's number, which is the same on every Unix.
    pub const fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// The signal, as [`tokio::signal::unix::signal`] expects it.
    pub fn kind(self) -> SignalKind {
        SignalKind::from_raw(self.number().into())
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal.number() - 1) & 1 == 1)
}
