//! By what a process is told from all others, later and from elsewhere.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use crate::os::linux::procfs;

/// Who a process is: its number alone is given to another one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its number, in its pid namespace.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine's start (proc_pid_stat(5), field 22).
    pub(crate) start_ticks: Option<u64>,
    /// Inode of the pid namespace.
    pub(crate) pid_namespace: Option<u64>,
    /// The kernel's random id of this start of the machine.
    pub(crate) boot_id: Option<String>,
    /// FNV-1a of the machine's name, which is nobody's business.
    pub(crate) host: Option<String>,
}

impl Identity {
    pub(crate) fn of(pid: i32) -> Self {
        let line = |path| fs::read_to_string(path).ok().map(|text: String| text.trim().to_owned());
        Self {
            pid,
            start_ticks: procfs::Stat::read(pid).ok().map(|stat| stat.start_ticks),
            pid_namespace: fs::metadata("/proc/self/ns/pid").ok().map(|entry| entry.ino()),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            host: line("/proc/sys/kernel/hostname")
                .map(|name| format!("{:016x}", fnv_1a(name.as_bytes()))),
        }
    }
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Types of file systems that no other machine has mounted at the same time (statfs(2), and
/// `linux/magic.h`): ext, xfs, btrfs, tmpfs, overlay, f2fs, zfs, bcachefs, ramfs.
const LOCAL: [u32; 9] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0x0102_1994,
    0x794C_7630,
    0xF2F5_2010,
    0x2FC1_2FC1,
    0xCA45_1A4E,
    0x8584_58F6,
];

/// Whether other machines may have the file system of a file mounted too, and may not see its
/// locks.
pub(crate) fn is_lock_shared(file: &File) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `found` is a valid place, which is read only after success.
    let kind = unsafe {
        if libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) != 0 {
            return true;
        }
        found.assume_init().f_type
    };
    !u32::try_from(kind).is_ok_and(|kind| LOCAL.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_by_five_facts() {
        let identity = Identity::of(i32::try_from(std::process::id()).unwrap());
        assert!(identity.start_ticks.is_some() && identity.pid_namespace.is_some());
        assert_eq!(identity.boot_id.map(|id| id.len()), Some(36));
        assert_eq!(identity.host.map(|host| host.len()), Some(16));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn proc_is_no_place_for_locks() {
        assert!(is_lock_shared(&File::open("/proc/self/stat").unwrap()));
    }
}
