//! The kernel's log (`/dev/kmsg`, the kernel's `Documentation/ABI/testing/dev-kmsg`): who the
//! out-of-memory killer says it has killed. Readable by the privileged, as a rule.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

/// Most bytes of one record, and of what is kept of it.
const MOST_RECORD_BYTES: usize = 8192;
const MOST_KEPT: usize = 300;
const MOST_RECORDS: usize = 20_000;
const MOST_TIME: Duration = Duration::from_millis(200);
/// Inode of the first pid namespace (`PROC_PID_INIT_INO`): the log's process ids are its own.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The log from the moment of opening on.
#[derive(Debug)]
pub(super) struct KernelLog(File);

impl KernelLog {
    /// `None` when it may not be read, or process ids are others there.
    pub(super) fn open() -> Option<Self> {
        let namespace = std::fs::metadata("/proc/self/ns/pid").ok()?;
        if namespace.ino() != FIRST_PID_NAMESPACE {
            return None;
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
        file.seek(SeekFrom::End(0)).ok()?;
        Some(Self(file))
    }

    /// The line in which the killer names this process, if there is one among what was logged
    /// since the last call. Bounded in records and time.
    pub(super) fn killed(&mut self, pid: i32) -> Option<String> {
        let deadline = Instant::now().checked_add(MOST_TIME);
        let mut record = vec![0; MOST_RECORD_BYTES];
        for _ in 0..MOST_RECORDS {
            if deadline.is_some_and(|at| Instant::now() >= at) {
                return None;
            }
            match self.0.read(&mut record) {
                Ok(0) => return None,
                Ok(length) => {
                    let text = String::from_utf8_lossy(record.get(..length)?);
                    if let Some(line) = line_about(&text, pid) {
                        return Some(line);
                    }
                }
                // Records were overwritten before they were read: go on with the oldest.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        None
    }
}

/// `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, then lines of dictionary.
fn line_about(record: &str, pid: i32) -> Option<String> {
    let text = record.split_once(';')?.1.lines().next()?;
    let is_kill = text.contains("ut of memory") || text.contains("oom");
    let is_named = text.contains(&format!("Killed process {pid} ("));
    (is_kill && is_named).then(|| text.chars().take(MOST_KEPT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_killers_line_about_this_process_counts() {
        let record = "3,901,77,-;Memory cgroup out of memory: Killed process 42 (python3) \
                      total-vm:9kB, anon-rss:8kB\n SUBSYSTEM=memory\n";
        let found = line_about(record, 42).unwrap();
        assert!(found.starts_with("Memory cgroup out of memory: Killed process 42 (python3)"));
        assert!(found.ends_with("anon-rss:8kB"));
        assert_eq!(line_about(record, 4), None);
        assert_eq!(line_about(record, 420), None);
        assert_eq!(line_about("6,1,1,-;Killed process 42 (a) by hand", 42), None);
        assert_eq!(line_about("no record", 42), None);
    }
}
