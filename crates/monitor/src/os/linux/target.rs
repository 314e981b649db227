//! Whether a process that does not know us can be dumped; if not, why, and what to type.

use std::fs;

use super::procfs::{process_name, read_bounded, thread_state};
use super::stop::thread_ids;
use crate::failure::Failure;

/// `PF_KTHREAD` (Linux, include/linux/sched.h), in field 9 of `stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const ELF_CLASS_64: u8 = 2;

/// What `/proc/PID/status` says.
pub(crate) struct Status(String);

impl Status {
    pub(crate) fn read(id: i32) -> Option<Self> {
        let bytes = read_bounded(&format!("/proc/{id}/status")).ok()?;
        Some(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn value(&self, key: &str) -> Option<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.trim())
    }

    pub(crate) fn number(&self, key: &str) -> Option<i32> {
        self.value(key)?.split_whitespace().next()?.parse().ok()
    }

    /// A set of signals or capabilities, one bit each.
    pub(crate) fn set(&self, key: &str) -> u64 {
        self.value(key).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
    }
}

/// Looks at the process with this id, or whose thread has it; gives its process id.
///
/// # Errors
/// Why it cannot be dumped.
pub(crate) fn check(id: i32) -> Result<i32, Failure> {
    let not_found = || {
        let hint = "see which processes there are: ps -e";
        Failure::new("process_not_found", format!("there is no process {id}"), hint)
    };
    let status = if id > 0 {
        Status::read(id).ok_or_else(not_found)?
    } else {
        return Err(not_found());
    };
    let pid = status.number("Tgid").unwrap_or(id);
    let name = process_name(pid);
    let not_dumpable = |why: &str, hint: &str| {
        Failure::new("process_not_dumpable", format!("process {pid} ({name}) {why}"), hint)
    };
    if !has_living_thread(pid) {
        return Err(not_dumpable(
            "has ended already",
            "its memory is gone; watch it from the start \
            the next time: lastwords run -- COMMAND",
        ));
    }
    if is_kernel_thread(pid) {
        return Err(not_dumpable("is a thread of the kernel", "only programs can be dumped"));
    }
    if std::process::id() == pid.unsigned_abs() {
        return Err(not_dumpable("is the dumper itself", "name another process"));
    }
    if is_of_another_class(pid) {
        return Err(not_dumpable(
            "is a program of 32 bits",
            "use gcore of its own kind: gcore PID",
        ));
    }
    match status.number("TracerPid") {
        None | Some(0) => Ok(pid),
        Some(tracer) => Err(Failure::new(
            "process_not_traceable",
            format!(
                "process {pid} ({name}) is traced by process {tracer} ({}) already",
                process_name(tracer)
            ),
            format!("end that debugger first, or let it write the dump: kill {tracer}"),
        )),
    }
}

/// The main thread may have ended before others.
fn has_living_thread(pid: i32) -> bool {
    let mut states = thread_ids(pid).into_iter().map(|tid| thread_state(pid, tid));
    states.any(|state| state.is_some_and(|state| !"ZXx".contains(state)))
}

fn is_kernel_thread(pid: i32) -> bool {
    super::procfs::flags(pid).is_some_and(|flags| flags & KERNEL_THREAD != 0)
}

fn is_of_another_class(pid: i32) -> bool {
    let start = fs::File::open(format!("/proc/{pid}/exe")).ok().and_then(|file| {
        let mut start = [0; 5];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut start, 0).ok()?;
        Some(start)
    });
    start.is_some_and(|start| start.starts_with(b"\x7fELF") && start[4] != ELF_CLASS_64)
}

/// Why tracing was refused, and what helps here.
pub(crate) fn not_traceable(pid: i32) -> Failure {
    let name = process_name(pid);
    let owner = Status::read(pid).and_then(|status| status.number("Uid"));
    let own = Status::read(i32::try_from(std::process::id()).unwrap_or(0));
    let user = own.as_ref().and_then(|status| status.number("Uid"));
    let has_capability = own.is_some_and(|status| status.set("CapEff") & CAP_SYS_PTRACE != 0);
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let (why, hint) = match (owner, user, scope.trim()) {
        (_, _, "3") => (
            "this system allows it to nobody (kernel.yama.ptrace_scope is 3)".to_owned(),
            "only another kernel setting and a restart can change that".to_owned(),
        ),
        _ if has_capability => (
            "the kernel refused it although we have CAP_SYS_PTRACE: a sandbox (seccomp, another \
             user namespace)"
                .to_owned(),
            "run it outside of the sandbox, or allow ptrace there".to_owned(),
        ),
        (Some(owner), Some(user), _) if owner != user => (
            format!("it belongs to user {owner}, you are user {user}"),
            format!("sudo lastwords dump {pid}"),
        ),
        (_, Some(0), _) => (
            "root has no CAP_SYS_PTRACE here: a container".to_owned(),
            "start the container with --cap-add=SYS_PTRACE".to_owned(),
        ),
        (_, _, "1" | "2") => (
            format!("the kernel allows it to parents only (ptrace_scope is {})", scope.trim()),
            format!(
                "sudo lastwords dump {pid}, or for all: sudo sysctl kernel.yama.ptrace_scope=0; or \
                 start it by lastwords run -- COMMAND"
            ),
        ),
        _ => (
            "it keeps its memory to itself (not dumpable, or has more rights than you)".to_owned(),
            format!("sudo lastwords dump {pid}"),
        ),
    };
    let message = format!("process {pid} ({name}) may not be traced: {why}");
    Failure::new("process_not_traceable", message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_process_is_told() {
        for id in [0, -1, i32::MAX] {
            assert_eq!(check(id).unwrap_err().code, "process_not_found");
        }
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(check(own).unwrap_err().message.contains("the dumper itself"));
    }

    #[test]
    fn a_zombie_and_a_kernel_thread_are_told() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while super::super::procfs::thread_state(pid, pid) != Some('Z') {}
        assert!(check(pid).unwrap_err().message.contains("has ended already"));
        child.wait().unwrap();
        if is_kernel_thread(2) {
            assert!(check(2).unwrap_err().message.contains("thread of the kernel"));
        }
    }
}
