//! The log line about how much memory and processor time the worker may use.

use super::ecs::TaskIdentity;
use crate::cgroup::{self, Limits};

/// Logs the limits of this process's cgroup and of its ECS task, unless neither is known.
pub(in crate::app) fn log(task: &TaskIdentity) {
    let limits = cgroup::limits();
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
