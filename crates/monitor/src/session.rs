//! The session file: that a process is watched, written where the next start finds it when process
//! and monitor are both gone (docs/formats/report.md, "Sessions").
//!
//! It is locked with `flock` as long as the process or its monitor lives: both hold the same open
//! file. Whoever can lock it knows that nobody is left to tell of the end.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::os::linux::ends::{Identity, is_lock_shared};
use crate::os::linux::sys;
use crate::time::time_text;
use crate::uuid::{parse_uuid, uuid_text};

/// Tries to lock; who looks for dead sessions holds the lock for a moment.
const LOCK_TRIES: u32 = 100;

/// The session of the watched process.
#[derive(Debug)]
pub(crate) struct Session {
    file: File,
    path: PathBuf,
    id: [u8; 16],
    document: Value,
}

impl Session {
    /// Takes over the descriptor that the SDK left open, if there is one: only the monitor that
    /// watches from the start has it.
    pub(crate) fn from_inherited(fd: i32) -> Option<Self> {
        let file = File::from(sys::inherited(fd).ok()?);
        let path = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        let name = path.file_stem()?.to_str()?.to_owned();
        let id = parse_uuid(&name);
        (uuid_text(id) == name).then_some(Self { file, path, id, document: Value::Null })
    }

    /// Locks and fills the file. `report` are the fields of a report that the SDK prepared.
    pub(crate) fn begin(&mut self, pid: i32, report: Value) {
        let is_locked = self.lock();
        let identity = Identity::of(pid);
        self.document = json!({
            "schema": 1,
            "session_id": uuid_text(self.id),
            "pid": identity.pid,
            "start_ticks": identity.start_ticks,
            "pid_namespace": identity.pid_namespace,
            "boot_id": identity.boot_id,
            "host": identity.host,
            "is_locked": is_locked,
            "is_lock_shared": is_lock_shared(&self.file),
            "started": now_text(),
            "asked_to_end": Value::Null,
            "report": report,
        });
        self.write().ok();
    }

    fn lock(&self) -> bool {
        for _ in 0..LOCK_TRIES {
            // SAFETY: takes numbers only.
            if unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
                return true;
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    fn write(&self) -> io::Result<()> {
        let text = format!("{}\n", self.document);
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }

    /// Notes that the monitor was asked to end: if nobody is left to tell more, the machine or the
    /// service was shut down.
    pub(crate) fn note_shutdown(&mut self) {
        if let Some(time) = self.document.get_mut("asked_to_end") {
            *time = Value::String(now_text());
            self.write().ok();
        }
    }

    /// The session's id, which is that of the report of its end.
    pub(crate) fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Removes the file: the end is known, or nobody's business.
    pub(crate) fn remove(&self) {
        fs::remove_file(&self.path).ok();
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn now_text() -> String {
    time_text(now_ns())
}
