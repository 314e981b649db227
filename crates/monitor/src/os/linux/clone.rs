//! A copy-on-write copy of a stopped process: its memory as it is now, to be read while the process
//! runs on (docs/adr/0007-clone-snapshot.md).
//!
//! One of the stopped threads makes a plain `clone` ([`super::system_call`]). The copy:
//!
//! - never runs: it is traced from its birth (`PTRACE_O_TRACECLONE`) and stops before its first
//!   instruction. Should we die, it is killed (`PTRACE_O_EXITKILL`); in the moment before that is
//!   set, it has no stack and all signals blocked, so that its first `ret` ends it.
//! - is not noticed: no exit signal, so no `SIGCHLD`, and `wait()` does not see it (without
//!   `__WALL` or `__WCLONE`, wait(2)); no `atfork` handlers, as no C library is asked.
//! - holds nothing but memory: the table of descriptors is shared (`CLONE_FILES`), so that what the
//!   process closes is closed.
//! - is the first to go when memory runs out (`oom_score_adj`).
//!
//! When it is no longer needed it is killed; what is left of it, a child without a parent that
//! waits, is taken away by a `wait4` of one of the process's threads.

use std::io;

use lastwords_pyframes::Memory;

use super::maps::Mapping;
use super::memory::read_available;
use super::stop::StoppedThreads;
use super::system_call::{self, Call};
use super::{procfs, sys, syscall_instruction};
use crate::soft_errors::SoftErrors;

/// Where the copy's stack would be: nowhere.
const NO_STACK: u64 = 8;
/// Tries when a signal comes in between.
const TRIES: usize = 3;
/// The kernel's own code: it should have been begun anew.
const ERESTARTNOINTR: i64 = -513;
/// `rseq_cs` in `struct rseq` (`linux/rseq.h`).
const RSEQ_CS_OFFSET: u64 = 8;

/// A copy of a process; killed when dropped.
#[derive(Debug)]
pub(crate) struct ProcessClone {
    /// As we number it.
    pub(crate) pid: i32,
    /// As the process itself numbers it.
    own_pid: i32,
    instruction: u64,
    is_unfiltered: bool,
}

impl ProcessClone {
    /// Copies the process; `Err` says why not, for people.
    pub(crate) fn new(
        stopped: &mut StoppedThreads,
        memory: &dyn Memory,
        mappings: &[Mapping],
    ) -> Result<Self, String> {
        let instruction = syscall_instruction::find(memory, mappings)
            .ok_or("no system call instruction was found in it")?;
        let (thread, is_unfiltered) = suitable(stopped, memory)?;
        let flags = u64::try_from(libc::CLONE_FILES).unwrap_or(0);
        let arguments = [flags, NO_STACK, 0, 0, 0];
        let call = Call { instruction, number: libc::SYS_clone, arguments, is_unfiltered };
        for _ in 0..TRIES {
            let mut unblock = || stopped.let_go_but(Some(thread));
            let made = system_call::call(thread, &call, &mut unblock);
            let outcome = made.map_err(|error| format!("thread {thread}: {error}"))?;
            if outcome.value == ERESTARTNOINTR {
                continue;
            }
            return Self::adopt(outcome, instruction, is_unfiltered);
        }
        Err("signals interrupted every try".to_owned())
    }

    fn adopt(
        outcome: system_call::Outcome,
        instruction: u64,
        is_unfiltered: bool,
    ) -> Result<Self, String> {
        let Some(pid) = outcome.child else {
            let errno = i32::try_from(outcome.value.saturating_neg()).unwrap_or(libc::EINVAL);
            return Err(format!("clone: {}", io::Error::from_raw_os_error(errno)));
        };
        let own_pid = i32::try_from(outcome.value).unwrap_or(0);
        let clone = Self { pid, own_pid, instruction, is_unfiltered };
        sys::wait_stop(pid, None)
            .and_then(|_| sys::ptrace_set_options(pid, libc::PTRACE_O_EXITKILL))
            .map_err(|error| format!("the copy: {error}"))?;
        // Best effort: a copy that is taken for another process costs the dump, not the process.
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").ok();
        Ok(clone)
    }

    /// Ends the copy, and takes what is left of it from the process `pid`, of which one thread is
    /// stopped for a moment.
    pub(crate) fn end(self, pid: i32, soft_errors: &mut SoftErrors) {
        let Self { pid: clone, own_pid, instruction, is_unfiltered } = self;
        drop(self);
        // Nothing is left of it where the process has ended meanwhile.
        if procfs::parent(clone) != u64::try_from(pid).ok() {
            return;
        }
        let arguments = [
            u64::try_from(own_pid).unwrap_or(0),
            0,
            u64::try_from(libc::__WALL | libc::WNOHANG).unwrap_or(0),
            0,
            0,
        ];
        let call = Call { instruction, number: libc::SYS_wait4, arguments, is_unfiltered };
        for tid in super::stop::thread_ids(pid) {
            let mut stopped = StoppedThreads::stop_one(pid, tid, soft_errors);
            if stopped.interrupted().is_empty() {
                continue;
            }
            if let Ok(outcome) = system_call::call(tid, &call, &mut || {}) {
                // ECHILD: the process waited itself, with `__WALL`.
                if [i64::from(own_pid), i64::from(libc::ECHILD).saturating_neg()]
                    .contains(&outcome.value)
                {
                    return;
                }
            }
            stopped.let_go_but(None);
        }
        let message = format!("a child {own_pid} that has ended stays until the process ends");
        soft_errors.add("clone_not_reaped", format!("process {pid}"), message);
    }
}

impl Drop for ProcessClone {
    fn drop(&mut self) {
        sys::kill_tracee(self.pid);
    }
}

/// A thread that can make the call, and whether filters of system calls are switched off for it.
///
/// One inside a system call is best: in its own code it may stand in a restartable sequence
/// (rseq(2)), which our detour would end.
fn suitable(stopped: &StoppedThreads, memory: &dyn Memory) -> Result<(i32, bool), String> {
    let mut threads: Vec<(bool, i32)> = stopped
        .interrupted()
        .into_iter()
        .filter_map(|tid| {
            let registers = sys::ptrace_registers(tid).ok()?;
            let is_inside = registers.orig_rax.cast_signed() >= 0;
            (is_inside || !is_in_sequence(tid, memory)).then_some((!is_inside, tid))
        })
        .collect();
    threads.sort_unstable();
    let (_, tid) = threads.first().ok_or("none of its threads could be stopped for it")?;
    let filters = procfs::filters(*tid).unwrap_or(0);
    if filters == 0 {
        return Ok((*tid, false));
    }
    if sys::ptrace_set_options(*tid, sys::OPTION_SUSPEND_SECCOMP).is_ok() {
        return Ok((*tid, true));
    }
    // A monitor that the process has started lives under the filters that it had then.
    if filters != u64::MAX && procfs::filters(sys::own_pid()) == Some(filters) {
        return Ok((*tid, false));
    }
    Err("it has a filter of system calls (seccomp) that might kill it for a clone".to_owned())
}

fn is_in_sequence(tid: i32, memory: &dyn Memory) -> bool {
    let Some(rseq) = sys::ptrace_rseq(tid) else { return false };
    let current = read_available(memory, rseq.saturating_add(RSEQ_CS_OFFSET), 8);
    current.iter().any(|byte| *byte != 0)
}
