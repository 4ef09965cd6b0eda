//! Exit codes.

use std::process::ExitCode;

use crate::Signal;

/// The exit codes of a process. Codes between 64 and 128 are from `sysexits.h`.
///
/// | code | meaning |
/// | --- | --- |
/// | 0 | done: the run stopped as asked or stayed idle long enough, the command did its work |
/// | 1 | the thing asked for failed: the job of `handle`, a line of `check`, `healthcheck` |
/// | 2 | the command line is wrong |
/// | 69 | the API or the storage could not be reached |
/// | 70 | an internal error: a bug in the worker |
/// | 74 | an answer could not be written to stdout |
/// | 77 | the API or the storage refused the credentials or the role |
/// | 78 | the configuration is wrong |
/// | 129 | a signal ended the process at once, and it was SIGHUP |
/// | 130 | a signal ended the process at once, and it was SIGINT |
/// | 143 | a signal ended the process at once, and it was SIGTERM |
///
/// ```
/// use reefguide_terminal::Exit;
/// use reefguide_terminal::Signal;
///
/// assert_eq!(Exit::Config.code(), 78);
/// assert_eq!(Exit::Signalled(Signal::Terminate).code(), 143);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: what was asked for failed.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 69: the API or the storage could not be reached.
    Unreachable,
    /// 70: an internal error.
    Internal,
    /// 74: an answer could not be written to stdout.
    Unwritten,
    /// 77: credentials or role refused.
    Refused,
    /// 78: the configuration is wrong.
    Config,
    /// 128 and the signal's number: a signal ended the process at once. While a worker runs, that is the second signal.
    Signalled(Signal),
}

impl Exit {
    /// The exit code as a number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::Internal => 70,
            Self::Unwritten => 74,
            Self::Refused => 77,
            Self::Config => 78,
            Self::Signalled(signal) => 128 + signal.number(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
