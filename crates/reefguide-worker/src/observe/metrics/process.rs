//! Metrics of this process: those of the kernel, under the names that all Prometheus clients use, and those of its log.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};

use crate::log_queue;

/// Read at each scrape; what cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut encode = |name, help: &str, metric: &dyn EncodeMetric| {
            // The library ends the help of registered metrics with a full stop.
            let help = format!("{help}.");
            let encoder = encoder.encode_descriptor(name, &help, None, metric.metric_type())?;
            metric.encode(encoder)
        };
        if let Some(Times { cpu, start }) = times() {
            encode(
                "process_cpu_seconds",
                "CPU time, user and system, in seconds",
                &ConstCounter::new(cpu),
            )?;
            if let Some(start) = start {
                encode(
                    "process_start_time_seconds",
                    "Start of the process, in seconds since 1970",
                    &ConstGauge::new(start),
                )?;
            }
        }
        if let Some(resident) = resident() {
            encode(
                "process_resident_memory_bytes",
                "Memory that is resident, in bytes",
                &ConstGauge::new(resident),
            )?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            encode(
                "process_open_fds",
                "Open file descriptors",
                &ConstGauge::new(open.count() as u64),
            )?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            encode(
                "process_max_fds",
                "File descriptors that may be open",
                &ConstGauge::new(most),
            )?;
        }
        encode(
            "worker_log_lines_dropped",
            "Log lines that were dropped, because stderr was not read in time",
            &ConstCounter::new(log_queue::dropped()),
        )
    }
}

struct Times {
    cpu: f64,
    start: Option<f64>,
}

fn times() -> Option<Times> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may contain any character.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = |skipped| fields.nth(skipped)?.parse::<f64>().ok();
    let (user, system, start) = (ticks(0)?, ticks(0)?, ticks(6)?);
    let a_second = rustix::param::clock_ticks_per_second() as f64;
    Some(Times {
        cpu: (user + system) / a_second,
        start: boot().map(|boot| boot + start / a_second),
    })
}

/// When the machine was started, in seconds since 1970.
fn boot() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    seconds.parse().ok()
}

fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
