//! Servers on this machine are reached directly, even if the environment names a proxy.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::failure::{Doing, Failure};

const LOOPBACK: &str = "127.0.0.1";
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Replaces this process by the same program with loopback among the exceptions, if the environment names a proxy that
/// would be used for loopback. (A process cannot change its own environment safely.)
pub(crate) fn spare_loopback() -> Result<(), Failure> {
    let exceptions = EXCEPTIONS.map(|name| env::var(name).unwrap_or_default());
    let named = PROXIES.iter().any(|name| env::var_os(name).is_some());
    if !named || exceptions.iter().any(|list| list.contains(LOOPBACK)) {
        return Ok(());
    }
    let list = with_loopback(exceptions);
    let again = env::current_exe().map(|program| {
        Command::new(program)
            .args(env::args_os().skip(1))
            .envs(EXCEPTIONS.map(|name| (name, &list)))
            .exec()
    });
    // `exec` returns only if it has failed.
    again
        .and_then(Err::<(), io::Error>)
        .doing("starting again without a proxy for loopback")
}

fn with_loopback(exceptions: [String; 2]) -> String {
    let mut list: Vec<_> = exceptions
        .into_iter()
        .filter(|list| !list.is_empty())
        .collect();
    list.push(LOOPBACK.into());
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_added_to_the_exceptions_there_are() {
        assert_eq!(with_loopback(["".into(), "".into()]), "127.0.0.1");
        let list = with_loopback(["a.example".into(), "b.example,c.example".into()]);
        assert_eq!(list, "a.example,b.example,c.example,127.0.0.1");
    }
}
