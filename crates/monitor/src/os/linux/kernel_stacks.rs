//! Where each thread stands in the kernel, as text.
//!
//! Per thread one paragraph; a file that cannot be read is named with the reason in its place:
//!
//! ```text
//! thread 4711 (worker) S (sleeping)
//!   wchan: futex_wait_queue
//!   syscall: 202 0x7f… 0x80 …        (number, six arguments, stack pointer, instruction)
//!   stack:
//!     [<0>] futex_wait_queue+0x60/0x90
//! ```
//!
//! Read before the threads are stopped: afterwards each of them stands in `ptrace_stop`.
//!
//! Sources: proc_pid_stack(5), which needs `CAP_SYS_ADMIN`; proc_pid_syscall(5), which needs the
//! right to trace; proc_pid_wchan(5); `State:` of proc_pid_status(5).

use std::fmt::Write as _;

use super::procfs::{self, read_bounded};
use super::stop;
use crate::soft_errors::SoftErrors;

/// The text for all threads, `first` before the others.
pub(crate) fn read(pid: i32, first: i32, soft_errors: &mut SoftErrors) -> String {
    let mut ids = stop::thread_ids(pid);
    ids.sort_unstable_by_key(|tid| (*tid != first, *tid));
    read_threads(pid, &ids, soft_errors)
}

fn read_threads(pid: i32, ids: &[i32], soft_errors: &mut SoftErrors) -> String {
    let mut out = String::new();
    let mut denied = Vec::new();
    for tid in ids {
        let file = |name: &str| read_text(&format!("/proc/{pid}/task/{tid}/{name}"));
        let status = file("status").unwrap_or_default();
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("");
        let name = procfs::thread_name(pid, *tid).unwrap_or_else(|| "?".to_owned());
        let _ = writeln!(out, "thread {tid} ({name}) {}", state.trim());
        for name in ["wchan", "syscall"] {
            let _ = writeln!(out, "  {name}: {}", one_line(file(name)));
        }
        match file("stack") {
            Ok(stack) => {
                out.push_str("  stack:\n");
                stack.lines().for_each(|line| {
                    let _ = writeln!(out, "    {}", line.trim());
                });
            }
            Err(reason) => {
                let _ = writeln!(out, "  stack: not readable ({reason})");
                denied.push((tid, reason));
            }
        }
    }
    if let Some((first, reason)) = denied.first() {
        let message = format!(
            "the kernel stacks of {} threads cannot be read: {reason}. The monitor needs \
             CAP_SYS_ADMIN for them",
            denied.len()
        );
        soft_errors.add("kernel_stack_not_read", format!("thread {first}"), message);
    }
    out
}

fn read_text(path: &str) -> Result<String, String> {
    let bytes = read_bounded(path).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn one_line(text: Result<String, String>) -> String {
    match text {
        Ok(text) => text.trim().to_owned(),
        Err(reason) => format!("not readable ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_a_paragraph_and_what_is_denied_is_told() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut soft_errors = SoftErrors::default();
        let text = read_threads(pid, &[pid, i32::MAX], &mut soft_errors);
        assert_eq!(text.lines().filter(|line| line.starts_with("thread ")).count(), 2);
        assert!(text.contains("  wchan: ") && text.contains("  syscall: "), "{text}");
        assert!(text.contains("stack: not readable (No such file"), "{text}");
        assert!(soft_errors.to_json().to_string().contains("kernel_stack_not_read"));
    }
}
