//! The memory cgroup of a process (cgroups(7)): how often the out-of-memory killer struck in it.
//!
//! Version 2: `memory.events.local` (Linux 5.2) or `memory.events`; version 1:
//! `memory.oom_control` (with `oom_kill` from Linux 4.13).

use std::fs;
use std::path::{Path, PathBuf};

/// Most bytes of one of its files.
const MOST_BYTES: usize = 64 * 1024;

/// The group's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryCgroup {
    folder: PathBuf,
    is_version_2: bool,
}

impl MemoryCgroup {
    /// The group that a process is in now; `None` where there are no memory cgroups.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        find(&groups, &mounts)
    }

    fn read(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join(name)).ok()?;
        (text.len() <= MOST_BYTES).then_some(text)
    }

    /// Processes of this group that the killer has taken; `None` where that is not counted, as in
    /// the root group of version 2.
    pub(super) fn oom_kills(&self) -> Option<u64> {
        let names: &[&str] = if self.is_version_2 {
            &["memory.events.local", "memory.events"]
        } else {
            &["memory.oom_control"]
        };
        count(&names.iter().find_map(|name| self.read(name))?, "oom_kill")
    }

    /// The most bytes that the group had, and its limit; `None` without a limit.
    pub(super) fn figures(&self) -> Option<(u64, u64)> {
        let (peak, limit) = if self.is_version_2 {
            ("memory.peak", "memory.max")
        } else {
            ("memory.max_usage_in_bytes", "memory.limit_in_bytes")
        };
        let number = |name| self.read(name)?.trim().parse::<u64>().ok();
        // Version 1 writes "no limit" as the largest number of pages.
        number(peak).zip(number(limit).filter(|limit| *limit < 1 << 62))
    }
}

/// A figure of a file with lines of "name figure".
pub(super) fn count(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, figure) = line.split_once(' ')?;
        (key == name).then(|| figure.trim().parse().ok())?
    })
}

fn find(groups: &str, mounts: &str) -> Option<MemoryCgroup> {
    let path = |is_wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            is_wanted(controllers).then_some(path)
        })
    };
    let has_memory = |list: &str| list.split(',').any(|name| name == "memory");
    let version_1 = path(&has_memory).and_then(|path| {
        let folder = folder(mounts, path, |kind, options| kind == "cgroup" && has_memory(options));
        Some(MemoryCgroup { folder: folder?, is_version_2: false })
    });
    version_1.or_else(|| {
        let folder = folder(mounts, path(&str::is_empty)?, |kind, _| kind == "cgroup2")?;
        Some(MemoryCgroup { folder, is_version_2: true })
    })
}

/// Where a group is found below the mount of its hierarchy (proc_pid_mountinfo(5)).
fn folder(mounts: &str, path: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut source = source.split(' ');
        let (kind, options) = (source.next()?, source.nth(1)?);
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        if !is_wanted(kind, options) {
            return None;
        }
        // In a container the mount shows a part of the hierarchy only.
        let below = Path::new(path).strip_prefix(root).ok()?;
        (!path.contains("/..")).then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_1_is_found_beside_version_2() {
        let found = find("4:memory:/app/one\n0::/\n", MOUNTS).unwrap();
        assert_eq!(found.folder, Path::new("/sys/fs/cgroup/memory/app/one"));
        assert!(!found.is_version_2);
    }

    #[test]
    fn version_2_is_found_alone() {
        let mounts = "30 20 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = find("0::/user.slice/app.scope\n", mounts).unwrap();
        assert_eq!(found.folder, Path::new("/sys/fs/cgroup/user.slice/app.scope"));
        assert!(found.is_version_2);
    }

    #[test]
    fn a_containers_mount_shows_the_groups_below_its_root() {
        let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = find("4:memory:/docker/abc/x\n", mounts).unwrap();
        assert_eq!(found.folder, Path::new("/sys/fs/cgroup/memory/x"));
        assert_eq!(find("4:memory:/docker/other\n", mounts), None);
        assert_eq!(find("0::/../outside\n", MOUNTS), None);
    }

    #[test]
    fn counts_are_read_by_their_whole_name() {
        let text = "oom 4\noom_kill 2\noom_group_kill 7\n";
        assert_eq!(count(text, "oom_kill"), Some(2));
        assert_eq!(count("oom_kill_disable 1\n", "oom_kill"), None);
    }
}
