//! Measures one run of a client.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::failure::{Doing, Failure};
use crate::process::Process;

/// How often the peak of its memory is read: the kernel forgets it when the client ends.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(5);
/// How long one run may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// The figures of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Run {
    /// Seconds on the clock.
    pub(super) wall: f64,
    /// Seconds of CPU time, including the time in the kernel.
    pub(super) cpu: f64,
    /// Its peak memory, in bytes.
    pub(super) peak: u64,
}

/// Runs `command` to its end.
pub(super) async fn measure(name: &'static str, command: &mut Command) -> Result<Run, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let mut process = Process::start(name, command)?;
    let id = process.id().unwrap_or_default();
    // Observes the end without reaping the process, whose figures can be read until then.
    let mut ended = spawn_blocking(move || {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let waited = pid.map(|pid| waitid(WaitId::Pid(pid), options));
        (waited, began.elapsed())
    });
    let mut peak = 0;
    let mut samples = interval(SAMPLE_INTERVAL);
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = async {
        loop {
            tokio::select! {
                biased;
                ended = &mut ended => break ended,
                _ = samples.tick() => peak = memory(id).unwrap_or(0).max(peak),
            }
        }
    };
    let watched = timeout(RUN_TIMEOUT, watch).await;
    let (waited, wall) = watched
        .doing(format_args!("waiting for {name}"))?
        .doing(format_args!("waiting for {name}"))?;
    waited
        .transpose()
        .doing(format_args!("waiting for {name}"))?;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    let ticks = ticks(&stat.doing("reading the CPU time of a client")?);
    let status = process.wait().await?;
    if !status.success() {
        return Err(Failure::new(format!("{name}: {status}")));
    }
    Ok(Run {
        wall: wall.as_secs_f64(),
        cpu: ticks.unwrap_or(0) as f64 / clock_ticks_per_second() as f64,
        peak,
    })
}

fn memory(id: u32) -> Option<u64> {
    high_water(&fs::read_to_string(format!("/proc/{id}/status")).ok()?)
}

/// The peak in `/proc/ID/status`, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Clock ticks in `/proc/ID/stat`, its own and those of the children that it has reaped.
fn ticks(stat: &str) -> Option<u64> {
    // The name, in parentheses, may contain anything. The state after it is field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = fields.split_whitespace().skip(14 - 3).take(4);
    let ticks: Option<Vec<u64>> = fields.map(|field| field.parse().ok()).collect();
    Some(ticks?.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_where_the_kernel_puts_them() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 103 0 0 0 11 22 33 44 20 0 1 0 5 8 9";
        assert_eq!(ticks(stat), Some(110));
        let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t    1024 kB\nVmRSS:\t 10 kB\n";
        assert_eq!(high_water(status), Some(1 << 20));
        assert_eq!(high_water("Name:\tx\n"), None);
    }

    #[tokio::test]
    async fn the_cpu_time_and_memory_of_a_client_are_measured() {
        let script = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let run = measure("sh", Command::new("sh").args(["-c", script]))
            .await
            .unwrap();
        assert!(run.peak > 40_000_000, "{run:?}");
        assert!(run.cpu > 0.0 && run.wall > 0.0, "{run:?}");
    }

    #[tokio::test]
    async fn a_client_that_fails_gives_no_figures() {
        let failed = measure("sh", Command::new("sh").args(["-c", "exit 3"])).await;
        assert_eq!(failed.unwrap_err().to_string(), "sh: exit status: 3");
    }
}
