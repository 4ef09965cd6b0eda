//! How much memory and processor time the worker may use, as its container says (cgroup v2).

use std::fs;
use std::path::Path;

use super::ecs::TaskIdentity;

/// What is not limited, or not known, is `None`.
#[derive(Debug, Default, PartialEq)]
struct Limits {
    memory_bytes: Option<u64>,
    memory_used_bytes: Option<u64>,
    cpus: Option<f64>,
}

/// Logs the limits of this process's cgroup, and of its ECS task; nothing where nothing is known.
pub(super) fn log(task: &TaskIdentity) {
    let limits = below(Path::new("/"));
    if limits == Limits::default() && task.memory.is_none() && task.cpus.is_none() {
        return;
    }
    let Limits {
        memory_bytes,
        memory_used_bytes,
        cpus,
    } = limits;
    tracing::info!(
        memory_bytes,
        memory_used_bytes,
        cpus,
        task_memory_bytes = task.memory,
        task_cpus = task.cpus,
        "limits"
    );
}

/// A limit of any group around this process's own is one of its own.
fn below(root: &Path) -> Limits {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let cgroups = root.join("sys/fs/cgroup");
    let own = own.map(|own| cgroups.join(own));
    let around = || {
        let groups = own.iter().flat_map(|own| own.ancestors());
        groups.take_while(|group| group.starts_with(&cgroups))
    };
    let read = |group: &Path, file| fs::read_to_string(group.join(file)).ok();
    let number = |text: String| text.trim().parse::<u64>().ok();
    let memory = around().filter_map(|group| read(group, "memory.max").and_then(number));
    let cpus = around().filter_map(|group| cpus(&read(group, "cpu.max")?));
    Limits {
        memory_bytes: memory.min(),
        memory_used_bytes: own
            .as_deref()
            .and_then(|own| read(own, "memory.current"))
            .and_then(number),
        cpus: cpus.min_by(f64::total_cmp),
    }
}

/// Of a time and the period in which it may be used, in microseconds.
fn cpus(max: &str) -> Option<f64> {
    let (time, period) = max.trim().split_once(' ')?;
    let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
    Some(number(time)? / number(period)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(files: &[(&str, &str)]) -> Limits {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        below(root.path())
    }

    #[test]
    fn the_limits_are_those_of_the_own_group_and_of_all_around_it() {
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
    fn what_is_not_limited_or_not_there_is_not_known() {
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
}
