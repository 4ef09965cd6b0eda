//! Protects the memory of this process, including its environment, from other processes of the same user.
//!
//! Linux shows both in `/proc` to every process of the user, including the programs that handlers run. A process that
//! is *not dumpable* can be read only with `CAP_SYS_PTRACE`. It also leaves no core dump, and a debugger needs that
//! capability to attach to it.

/// Makes this process not dumpable, on Linux. Call it as early as possible. A program that this process starts is
/// dumpable again until it calls this itself.
///
/// A process that a debugger or `strace` has started stays dumpable, since both have to read it.
pub fn protect() {
    #[cfg(target_os = "linux")]
    if !is_traced() {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // `is_protected` shows whether it worked.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Whether other processes of this user cannot read this one. On systems other than Linux it is `true`, since they show
/// neither memory nor environment in files.
pub fn is_protected() -> bool {
    #[cfg(target_os = "linux")]
    return !matches!(
        rustix::process::dumpable_behavior(),
        Ok(rustix::process::DumpableBehavior::Dumpable)
    );
    #[cfg(not(target_os = "linux"))]
    return true;
}

#[cfg(target_os = "linux")]
fn is_traced() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}
