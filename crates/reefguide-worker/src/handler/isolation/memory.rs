//! How much memory a process had, and whether the kernel ran out of it. Both only where Linux tells.

use std::fs;
use std::path::Path;

/// The most memory that a process has had so far, in KiB. Once it has ended nobody knows any more.
pub(super) fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse().ok()
}

/// How many processes the kernel has killed for want of memory in this process's cgroup.
pub(super) fn kills() -> Option<u64> {
    kills_below(Path::new("/"))
}

fn kills_below(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let group = |kind| groups.lines().find_map(|line| line.split_once(kind));
    let group = |kind| group(kind).map_or("", |(_, group)| group);
    let cgroups = root.join("sys/fs/cgroup");
    [
        cgroups.join(group("0::/")).join("memory.events"),
        // Version 1, and that in a container, which sees its own group only.
        cgroups
            .join("memory")
            .join(group(":memory:/"))
            .join("memory.oom_control"),
        cgroups.join("memory/memory.oom_control"),
    ]
    .iter()
    .filter_map(|events| fs::read_to_string(events).ok())
    .find_map(|events| {
        let mut lines = events.lines();
        lines.find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills_with(groups: &str, file: &str, events: &str) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [("proc/self/cgroup", groups), (file, events)] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        kills_below(root.path())
    }

    #[test]
    fn the_kernels_kills_are_those_of_the_own_cgroup() {
        let events = "max 41\noom 3\noom_kill 2\noom_group_kill 0\n";
        for (groups, file) in [
            ("0::/ecs/task\n", "ecs/task/memory.events"),
            ("0::/\n", "memory.events"),
        ] {
            let file = format!("sys/fs/cgroup/{file}");
            assert_eq!(kills_with(groups, &file, events), Some(2), "{file}");
        }
        let groups = "9:pids:/\n4:memory:/ecs/task\n0::/\n";
        let events = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        for file in ["ecs/task/memory.oom_control", "memory.oom_control"] {
            let file = format!("sys/fs/cgroup/memory/{file}");
            assert_eq!(kills_with(groups, &file, events), Some(2), "{file}");
        }
        let elsewhere = "sys/fs/cgroup/other/memory.events";
        assert_eq!(kills_with("0::/ecs/task\n", elsewhere, events), None);
    }
}
