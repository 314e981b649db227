//! Open file descriptors: `/proc/PID/fd` and `/proc/PID/fdinfo` (proc_pid_fd(5)).

use std::fs;
use std::os::unix::fs::MetadataExt;

use lastwords_format::streams::handle_data::Handle;

use super::procfs::read_bounded;
use crate::soft_errors::SoftErrors;

/// Most descriptors that are told.
const MOST_HANDLES: usize = 4096;

/// All of them, by number. `tid` is any living thread.
pub(crate) fn read(tid: i32, soft_errors: &mut SoftErrors) -> Vec<Handle> {
    let folder = format!("/proc/{tid}/fd");
    let entries = soft_errors.keep(fs::read_dir(&folder), "file_not_read", &folder);
    let numbers = entries.into_iter().flatten().flatten();
    let mut numbers: Vec<u64> =
        numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    if numbers.len() > MOST_HANDLES {
        let left_out = numbers.len().saturating_sub(MOST_HANDLES);
        let message = format!("{left_out} descriptors beyond {MOST_HANDLES} are left out");
        soft_errors.add("handles_cut", "handles", message);
        numbers.truncate(MOST_HANDLES);
    }
    numbers.into_iter().filter_map(|number| handle(tid, number)).collect()
}

/// `None` when it was closed meanwhile.
fn handle(tid: i32, number: u64) -> Option<Handle> {
    let link = format!("/proc/{tid}/fd/{number}");
    let target = fs::read_link(&link).ok()?.to_string_lossy().into_owned();
    // Follows the link to what is open, also when the file has been deleted.
    let mode = fs::metadata(&link).map_or(0, |metadata| metadata.mode());
    let info = read_bounded(&format!("/proc/{tid}/fdinfo/{number}")).unwrap_or_default();
    Some(Handle {
        number,
        type_name: type_name(&target, mode).to_owned(),
        name: target,
        mode,
        flags: open_flags(&String::from_utf8_lossy(&info)),
    })
}

/// What the target of the link is: `socket:[123]`, `anon_inode:[eventfd]`, `/memfd:name (deleted)`
/// or a path.
fn type_name(target: &str, mode: u32) -> &'static str {
    let inode = target.strip_prefix("anon_inode:").map(|name| name.trim_matches(['[', ']']));
    match (inode, target.split_once(":[").map(|(kind, _)| kind)) {
        (Some("eventfd"), _) => "Eventfd",
        (Some("eventpoll"), _) => "Epoll",
        (Some("timerfd"), _) => "Timerfd",
        (Some("signalfd"), _) => "Signalfd",
        (Some("inotify"), _) => "Inotify",
        (Some("pidfd"), _) | (_, Some("pidfd")) => "Pidfd",
        (Some("io_uring"), _) => "IoUring",
        (Some(_), _) => "Anonymous",
        (_, Some("socket")) => "Socket",
        (_, Some("pipe")) => "Pipe",
        _ if target.starts_with("/memfd:") => "Memfd",
        _ => of_mode(mode),
    }
}

fn of_mode(mode: u32) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFREG => "File",
        libc::S_IFDIR => "Directory",
        libc::S_IFCHR => "CharacterDevice",
        libc::S_IFBLK => "BlockDevice",
        libc::S_IFIFO => "Fifo",
        libc::S_IFSOCK => "Socket",
        _ => "Unknown",
    }
}

/// `flags:` is octal.
fn open_flags(info: &str) -> u32 {
    let text = info.lines().find_map(|line| line.strip_prefix("flags:"));
    text.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn links_are_told_apart() {
        for (target, mode, expected) in [
            ("socket:[1234]", 0, "Socket"),
            ("pipe:[1]", 0, "Pipe"),
            ("anon_inode:[eventfd]", 0, "Eventfd"),
            ("anon_inode:[eventpoll]", 0, "Epoll"),
            ("anon_inode:inotify", 0, "Inotify"),
            ("anon_inode:[perf_event]", 0, "Anonymous"),
            ("/memfd:lastwords (deleted)", libc::S_IFREG, "Memfd"),
            ("/tmp/a:[b", libc::S_IFREG, "File"),
            ("/dev/null", libc::S_IFCHR, "CharacterDevice"),
            ("/gone (deleted)", 0, "Unknown"),
        ] {
            assert_eq!(type_name(target, mode), expected, "{target}");
        }
    }

    #[test]
    fn own_descriptors_are_found_with_type_and_flags() {
        let file = File::open("/proc/self/exe").unwrap();
        let (socket, _other) = UnixStream::pair().unwrap();
        let mut soft_errors = SoftErrors::default();
        let handles = read(i32::try_from(std::process::id()).unwrap(), &mut soft_errors);
        let of = |fd: i32| handles.iter().find(|h| h.number == u64::try_from(fd).unwrap()).unwrap();
        let found = of(file.as_raw_fd());
        assert_eq!((found.type_name.as_str(), found.flags & 3), ("File", 0));
        assert_eq!(found.mode & libc::S_IFMT, libc::S_IFREG);
        assert!(found.name.starts_with('/'));
        let found = of(socket.as_raw_fd());
        assert_eq!((found.type_name.as_str(), found.flags & 3), ("Socket", 2));
        assert_eq!(soft_errors.to_json(), serde_json::json!([]));
    }

    #[test]
    fn a_process_that_is_gone_has_none_and_it_is_told() {
        let mut soft_errors = SoftErrors::default();
        assert!(read(i32::MAX, &mut soft_errors).is_empty());
        assert!(soft_errors.to_json().to_string().contains("file_not_read"));
    }
}
