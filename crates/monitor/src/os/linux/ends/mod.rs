//! What Linux tells of the end of a process that is not our child, while and after it ends.
//!
//! Nothing here waits or polls while the process lives: a few figures are read at the start of
//! the watch, and again at the end.

mod exit_status;
mod identity;
mod kernel_log;
mod memory_cgroup;
mod termination;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

pub(crate) use exit_status::ExitStatus;
pub(crate) use identity::{Identity, is_lock_shared};
pub(crate) use termination::Termination;

use self::kernel_log::KernelLog;
use self::memory_cgroup::MemoryCgroup;
use super::procfs;

/// What says that the kernel's out-of-memory killer chose a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OomEvidence {
    /// Nothing.
    None,
    /// It killed something where the process was, since the watch began.
    Counter(String),
    /// The kernel's log names the process.
    Log(String),
}

/// The figures of the start of a watch.
#[derive(Debug)]
pub(crate) struct Baseline {
    pid: i32,
    start_ticks: Option<u64>,
    log: Option<KernelLog>,
    cgroup: Option<(MemoryCgroup, u64)>,
    machine_kills: Option<u64>,
}

impl Baseline {
    /// Reads what will be compared at the end.
    pub(crate) fn read(pid: i32) -> Self {
        let cgroup = MemoryCgroup::of(pid);
        let cgroup = cgroup.and_then(|group| group.oom_kills().map(|kills| (group, kills)));
        Self {
            pid,
            start_ticks: procfs::Stat::read(pid).ok().map(|stat| stat.start_ticks),
            log: KernelLog::open(),
            cgroup,
            machine_kills: machine_kills(),
        }
    }

    /// How the process stands: `None` when its number is free or another's.
    pub(crate) fn stat(&self) -> Option<procfs::Stat> {
        let stat = procfs::Stat::read(self.pid).ok()?;
        (Some(stat.start_ticks) == self.start_ticks).then_some(stat)
    }

    /// The exit status of the ended process; `None` when it cannot be had: before Linux 6.15 only
    /// a zombie has one that others may read.
    pub(crate) fn exit_status(&self, process: Option<&OwnedFd>) -> Option<ExitStatus> {
        let asked = || process.and_then(exit_status::of_reaped);
        // It may be reaped between the two questions, hence the third.
        asked().or_else(|| self.stat().and_then(exit_status::of_zombie)).or_else(asked)
    }

    /// What speaks for the out-of-memory killer.
    pub(crate) fn oom_evidence(&mut self) -> OomEvidence {
        let pid = self.pid;
        if let Some(line) = self.log.as_mut().and_then(|log| log.killed(pid)) {
            return OomEvidence::Log(format!("the kernel's log: {line}"));
        }
        let (now, before, place) = match &self.cgroup {
            Some((group, before)) => (group.oom_kills(), Some(*before), "the memory cgroup"),
            None => (machine_kills(), self.machine_kills, "the machine"),
        };
        match (before, now) {
            (Some(before), Some(now)) if now > before => OomEvidence::Counter(format!(
                "the out-of-memory killer's count for {place} rose from {before} to {now} while \
                 the process ran"
            )),
            _ => OomEvidence::None,
        }
    }

    /// How much memory the process's group had at most, for people; `None` where it has no limit
    /// or is gone.
    pub(crate) fn memory_figures(&self) -> Option<String> {
        let (peak, limit) = self.cgroup.as_ref()?.0.figures()?;
        Some(format!("the memory cgroup had at most {peak} bytes of its limit of {limit}"))
    }
}

/// The exit status of a process that has begun to end; `None` when we may not read it.
pub(crate) fn status_of_ending(stat: procfs::Stat) -> Option<ExitStatus> {
    exit_status::of_zombie(stat)
}

/// `oom_kill` of `/proc/vmstat` (Linux 4.13): kills on the whole machine since it started.
fn machine_kills() -> Option<u64> {
    let text = procfs::read_bounded("/proc/vmstat").ok()?;
    memory_cgroup::count(&String::from_utf8_lossy(&text), "oom_kill")
}

/// Whether the memory file `inode` is still mapped by the process: no more after an exec.
///
/// # Errors
/// When the mappings may not be read.
pub(crate) fn is_mapped(pid: i32, inode: u64) -> io::Result<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let inode = inode.to_string();
    Ok(maps.lines().any(|line| {
        line.contains("/memfd:lastwords") && line.split_whitespace().nth(4) == Some(&inode)
    }))
}
