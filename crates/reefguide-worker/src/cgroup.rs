//! The control groups of this process: what limits it, and how many of its processes the kernel has killed.
//!
//! The program's start logs the limits, and a handler's crash is explained by the kills, so this file is below both.

use std::fs;
use std::path::{Path, PathBuf};

/// The limits of this process; `None` if there is no limit, or it cannot be read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_used_bytes: Option<u64>,
    pub(crate) cpus: Option<f64>,
}

/// Reads the limits of cgroup v2.
pub(crate) fn limits() -> Limits {
    Groups::below(Path::new("/")).limits()
}

/// How many processes of this process's cgroup the kernel has killed because memory ran out.
pub(crate) fn kills() -> Option<u64> {
    Groups::below(Path::new("/")).kills()
}

/// The files of this process's groups.
struct Groups {
    /// The lines of `/proc/self/cgroup`: `0::/group` for version 2, `4:memory:/group` for version 1.
    lines: String,
    folder: PathBuf,
}

impl Groups {
    fn below(root: &Path) -> Self {
        Self {
            lines: fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default(),
            folder: root.join("sys/fs/cgroup"),
        }
    }

    /// The group after `kind`, without its leading slash.
    fn named(&self, kind: &str) -> Option<&str> {
        let mut lines = self.lines.lines();
        lines.find_map(|line| Some(line.split_once(kind)?.1))
    }

    /// The limits of the outer groups apply as well.
    fn limits(&self) -> Limits {
        let own = self.named("0::/").map(|group| self.folder.join(group));
        let groups = || {
            let groups = own.iter().flat_map(|own| own.ancestors());
            groups.take_while(|group| group.starts_with(&self.folder))
        };
        let read = |group: &Path, file| fs::read_to_string(group.join(file)).ok();
        let number = |text: String| text.trim().parse::<u64>().ok();
        let memory = groups().filter_map(|group| read(group, "memory.max").and_then(number));
        let cpus = groups().filter_map(|group| cpus(&read(group, "cpu.max")?));
        Limits {
            memory_bytes: memory.min(),
            memory_used_bytes: own
                .as_deref()
                .and_then(|own| read(own, "memory.current"))
                .and_then(number),
            cpus: cpus.min_by(f64::total_cmp),
        }
    }

    fn kills(&self) -> Option<u64> {
        if self.lines.is_empty() {
            return None;
        }
        let memory = self.folder.join("memory");
        [
            self.folder
                .join(self.named("0::/").unwrap_or_default())
                .join("memory.events"),
            // Version 1; in a container, whose files are those of its own group, without the group's name.
            memory
                .join(self.named(":memory:/").unwrap_or_default())
                .join("memory.oom_control"),
            memory.join("memory.oom_control"),
        ]
        .iter()
        .filter_map(|events| fs::read_to_string(events).ok())
        .find_map(|events| {
            let mut lines = events.lines();
            lines.find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        })
    }
}

/// A time and the period in which it may be used, in microseconds.
fn cpus(max: &str) -> Option<f64> {
    let (time, period) = max.trim().split_once(' ')?;
    let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
    Some(number(time)? / number(period)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(files: &[(&str, &str)], read: impl FnOnce(&Groups) -> T) -> T {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        read(&Groups::below(root.path()))
    }

    fn limits(files: &[(&str, &str)]) -> Limits {
        with(files, Groups::limits)
    }

    #[test]
    fn the_limits_are_those_of_the_process_own_group_and_of_all_outer_groups() {
        let own = limits(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/memory.current", "1048576\n"),
            ("sys/fs/cgroup/cpu.max", "25000 100000\n"),
        ]);
        let all = Limits {
            memory_bytes: Some(2 << 30),
            memory_used_bytes: Some(1 << 20),
            cpus: Some(0.25),
        };
        assert_eq!(own, all);
        let nested = limits(&[
            ("proc/self/cgroup", "1:name=systemd:/\n0::/ecs/task\n"),
            ("sys/fs/cgroup/ecs/task/memory.max", "max\n"),
            ("sys/fs/cgroup/ecs/task/memory.current", "1048576\n"),
            ("sys/fs/cgroup/ecs/task/cpu.max", "100000 100000\n"),
            ("sys/fs/cgroup/ecs/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/ecs/cpu.max", "25000 100000\n"),
        ]);
        assert_eq!(nested, all);
    }

    #[test]
    fn a_limit_that_is_not_set_or_not_there_is_unknown() {
        let unlimited = limits(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(unlimited, Limits::default());
        assert_eq!(limits(&[]), Limits::default());
        // Version 1.
        let groups = ("proc/self/cgroup", "4:memory:/ecs\n");
        assert_eq!(limits(&[groups]), Limits::default());
    }

    #[test]
    fn the_kernels_kills_are_those_of_the_process_own_group() {
        let kills = |groups, file: &str, events| {
            with(
                &[("proc/self/cgroup", groups), (file, events)],
                Groups::kills,
            )
        };
        let events = "max 41\noom 3\noom_kill 2\noom_group_kill 0\n";
        for (groups, file) in [
            ("0::/ecs/task\n", "ecs/task/memory.events"),
            ("0::/\n", "memory.events"),
        ] {
            let file = format!("sys/fs/cgroup/{file}");
            assert_eq!(kills(groups, &file, events), Some(2), "{file}");
        }
        let groups = "9:pids:/\n4:memory:/ecs/task\n0::/\n";
        let events = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        for file in ["ecs/task/memory.oom_control", "memory.oom_control"] {
            let file = format!("sys/fs/cgroup/memory/{file}");
            assert_eq!(kills(groups, &file, events), Some(2), "{file}");
        }
        let elsewhere = "sys/fs/cgroup/other/memory.events";
        assert_eq!(kills("0::/ecs/task\n", elsewhere, events), None);
    }
}
