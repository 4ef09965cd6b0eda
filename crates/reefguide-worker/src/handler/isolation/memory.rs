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

/// How many processes the kernel has killed for want of memory in this process's cgroup (version 2).
pub(super) fn kills() -> Option<u64> {
    kills_below(Path::new("/"))
}

fn kills_below(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join("sys/fs/cgroup").join(group);
    let events = fs::read_to_string(group.join("memory.events")).ok()?;
    let kills = events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    kills.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_kills_are_those_of_the_own_cgroup() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("sys/fs/cgroup/ecs/task");
        fs::create_dir_all(&group).unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        assert_eq!(kills_below(root.path()), None);
        fs::write(root.path().join("proc/self/cgroup"), "0::/ecs/task\n").unwrap();
        let events = "low 0\nhigh 0\nmax 41\noom 3\noom_kill 2\noom_group_kill 0\n";
        fs::write(group.join("memory.events"), events).unwrap();
        assert_eq!(kills_below(root.path()), Some(2));
    }
}
