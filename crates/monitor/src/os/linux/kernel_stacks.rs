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
//! Sources: proc_pid_stack(5), which needs `CAP_SYS_ADMIN`; proc_pid_syscall(5), which needs the
//! right to trace; proc_pid_wchan(5); `State:` of proc_pid_status(5).

use std::fmt::Write as _;

use super::procfs::read_bounded;
use crate::snapshot::ThreadSnapshot;
use crate::soft_errors::SoftErrors;

/// The text for all threads.
pub(crate) fn read(pid: i32, threads: &[ThreadSnapshot], soft_errors: &mut SoftErrors) -> String {
    let mut out = String::new();
    let mut denied = Vec::new();
    for thread in threads {
        let file = |name: &str| read_text(&format!("/proc/{pid}/task/{}/{name}", thread.id));
        let status = file("status").unwrap_or_default();
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("");
        let name = thread.name.as_deref().unwrap_or("?");
        let _ = writeln!(out, "thread {} ({name}) {}", thread.id, state.trim());
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
                denied.push((thread.id, reason));
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
        let thread = |id: u32| ThreadSnapshot { id, name: Some("n".to_owned()), registers: None };
        let mut soft_errors = SoftErrors::default();
        let text =
            read(pid, &[thread(std::process::id()), thread(u32::MAX >> 1)], &mut soft_errors);
        assert_eq!(text.lines().filter(|line| line.starts_with("thread ")).count(), 2);
        assert!(text.contains("  wchan: ") && text.contains("  syscall: "), "{text}");
        assert!(text.contains("stack: not readable (No such file"), "{text}");
        assert!(soft_errors.to_json().to_string().contains("kernel_stack_not_read"));
    }
}
