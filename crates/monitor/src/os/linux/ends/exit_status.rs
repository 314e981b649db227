//! Exit statuses of processes that are not our children.
//!
//! `struct pidfd_info` of `PIDFD_GET_INFO` (Linux 6.13; `PIDFD_INFO_EXIT` from 6.15), first version,
//! as in the kernel's `include/uapi/linux/pidfd.h`:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | mask | asked, then answered: bit 3 = `exit_code` |
//! | 8 | 8 | u64 | cgroupid | not used |
//! | 16 | 44 | u32[11] | | process, parent, user and group ids; not used |
//! | 60 | 4 | i32 | exit_code | as `wait` gives it; known once the process was reaped |
//!
//! A zombie's status stands in field 52 of `/proc/PID/stat` (Linux 3.5), as 0 for those who may not
//! read it (proc_pid_stat(5)).

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use crate::os::linux::procfs::Stat;

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)` for the first version's 64 bytes.
const PIDFD_GET_INFO: libc::Ioctl = 0xC040_FF0B;

#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// With an exit status of its own, 0 to 255.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl ExitStatus {
    /// Reads a status in the form of `wait`.
    pub(crate) fn from_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(libc::WEXITSTATUS(status))
        }
    }
}

/// The status of a process whose parent has taken it; `None` before that, and on older kernels.
pub(super) fn of_reaped(process: &OwnedFd) -> Option<ExitStatus> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    const { assert!(size_of::<PidfdInfo>() == 64) };
    // SAFETY: the request's size is that of `info`, which the kernel fills.
    let result = unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    let is_told = result == 0 && info.mask & PIDFD_INFO_EXIT != 0;
    is_told.then(|| ExitStatus::from_wait(info.exit_code))
}

/// The status of a process that ends or has ended, and was not reaped yet; `None` when we may not
/// read it.
pub(super) fn of_zombie(stat: Stat) -> Option<ExitStatus> {
    if !stat.is_ending() {
        return None;
    }
    let is_readable = stat.exit_code != 0 || may_read(stat.pid);
    is_readable.then(|| ExitStatus::from_wait(stat.exit_code))
}

/// Whether a status of 0 is one: it is also what is told to those who may not know it.
fn may_read(pid: i32) -> bool {
    // SAFETY: takes no arguments.
    let own = unsafe { libc::geteuid() };
    own == 0 || std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|entry| entry.uid() == own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::linux::sys;
    use std::process::{Child, Command};

    fn ended(script: &str) -> (Child, OwnedFd) {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let process = sys::pidfd_open(i32::try_from(child.id()).unwrap()).unwrap();
        sys::wait_readable(&[process.as_raw_fd()], 10_000).unwrap();
        (child, process)
    }

    #[test]
    fn a_zombies_status_is_read_from_proc() {
        let (mut child, _process) = ended("exit 3");
        let stat = Stat::read(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(of_zombie(stat), Some(ExitStatus::Code(3)));
        child.wait().unwrap();
        let (mut child, _process) = ended("kill -9 $$");
        let stat = Stat::read(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(of_zombie(stat), Some(ExitStatus::Signal(9)));
        child.wait().unwrap();
    }

    #[test]
    fn a_running_process_has_no_status() {
        let stat = Stat::read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(of_zombie(stat), None);
    }

    #[test]
    fn a_reaped_process_has_a_status_where_the_kernel_keeps_it() {
        let (mut child, process) = ended("kill -15 $$");
        assert_eq!(of_reaped(&process), None, "it is still a zombie");
        child.wait().unwrap();
        let told = of_reaped(&process);
        assert!(told.is_none() || told == Some(ExitStatus::Signal(15)), "{told:?}");
    }
}
