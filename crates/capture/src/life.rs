//! What tells from outside how this process ended: a mark in the shared area, and its session
//! file, whose lock lives as long as the process or its monitor.
//!
//! The monitor locks and fills the session file and removes it at the end; here it is only made,
//! held open, and removed where an end is foreseen: the monitor of a container's first process
//! is killed before it can.

use std::ffi::{CString, c_int};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::handler::ARMED;
use crate::shared::{FORKED_OFFSET, INTERPRETER_OFFSET, LIFE_OFFSET, Life};
use crate::sys::{self, Held};

/// The session file of this process. Async-signal-safe to read; never freed.
struct SessionFile {
    held: Held,
    path: CString,
    /// The process that made it.
    pid: c_int,
}

static SESSION_FILE: AtomicPtr<SessionFile> = AtomicPtr::new(std::ptr::null_mut());

fn word(offset: usize) -> Option<&'static AtomicU32> {
    let base = ARMED.area.load(Ordering::Acquire);
    if base.is_null() {
        return None;
    }
    // SAFETY: the area stays mapped as long as the process lives; the offsets are multiples of 4
    // within it.
    Some(unsafe { &*base.wrapping_byte_add(offset).cast::<AtomicU32>() })
}

/// Whether this is the process that armed, and not a child of it that shares its area.
fn is_own() -> bool {
    ARMED.pid.load(Ordering::Acquire) == sys::getpid()
}

/// The life mark, for the process that armed.
fn life() -> Option<&'static AtomicU32> {
    word(LIFE_OFFSET).filter(|_| is_own())
}

/// Notes that the process is watched from now on; call when the area is known and `ARMED.pid` set.
pub(crate) fn begin() {
    if let Some(life) = life() {
        let (from, to) = (Life::Unknown.code(), Life::Running.code());
        life.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).ok();
    }
    if let Some(word) = word(INTERPRETER_OFFSET) {
        word.store(u32::from(is_interpreter()), Ordering::Release);
    }
    static REGISTER: std::sync::Once = std::sync::Once::new();
    // SAFETY: the function stays loaded: Python never unloads an extension module.
    REGISTER.call_once(|| unsafe {
        libc::atexit(on_exit);
    });
}

/// Whether the main program is Python's own, which always finalises before it calls `exit()`; a
/// program that embeds Python may leave that out.
fn is_interpreter() -> bool {
    let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| name.starts_with("python") || name.starts_with("pypy"))
}

/// The C library's `exit()` was called. Where the interpreter did not finalise before, somebody
/// else called it.
extern "C" fn on_exit() {
    let Some(life) = life() else { return };
    let (from, to) = (Life::Running.code(), Life::Exit.code());
    if life.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
        && word(INTERPRETER_OFFSET).is_some_and(|word| word.load(Ordering::Acquire) == 0)
    {
        remove_session_file();
    }
}

/// Notes that the interpreter finalises: whatever exit status follows is the program's choice.
pub fn note_exit() {
    if let Some(life) = life() {
        life.store(Life::Finalising.code(), Ordering::Release);
        remove_session_file();
    }
}

/// Notes that a crash is being reported: its end needs no report of its own. Async-signal-safe.
pub(crate) fn note_crash() {
    if let Some(life) = life() {
        life.store(Life::Crashed.code(), Ordering::Release);
    }
}

/// Notes that another program is about to be executed; whether that was news. Async-signal-safe.
pub(crate) fn note_exec() -> bool {
    let errno = sys::errno();
    let (from, to) = (Life::Running.code(), Life::Exec.code());
    let noted = life()
        .is_some_and(|l| l.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok());
    sys::set_errno(errno);
    noted
}

/// Takes [`note_exec`] back: the program could not be executed. Leaves `errno` alone.
pub(crate) fn note_no_exec() {
    let errno = sys::errno();
    if let Some(life) = life() {
        let (from, to) = (Life::Exec.code(), Life::Running.code());
        life.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).ok();
    }
    sys::set_errno(errno);
}

/// In a forked child, before it has an area of its own: tells the parent's monitor of the fork, and
/// lets go of the parent's session.
pub(crate) fn after_fork_in_child() {
    if let Some(word) = word(FORKED_OFFSET) {
        word.store(1, Ordering::Release);
    }
    close_session_file();
}

/// Makes the session file, empty; gives its descriptor. `None` where that fails: such a process
/// can be watched, but nobody is told of the watch.
pub(crate) fn make_session_file(path: &str) -> Option<c_int> {
    let path = CString::new(path).ok()?;
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the path is a valid string.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o600) };
    if fd < 0 {
        return None;
    }
    let fd = crate::spawn::move_up(fd);
    let file = Box::new(SessionFile { held: Held::new(fd), path, pid: sys::getpid() });
    SESSION_FILE.store(Box::into_raw(file), Ordering::Release);
    Some(fd)
}

fn session_file() -> Option<&'static SessionFile> {
    // SAFETY: null, or a box that is never freed.
    unsafe { SESSION_FILE.load(Ordering::Acquire).as_ref() }
}

/// Whether the monitor has a session file.
pub(crate) fn is_watched() -> bool {
    session_file().is_some()
}

fn close_session_file() {
    let file = session_file();
    SESSION_FILE.store(std::ptr::null_mut(), Ordering::Release);
    if let Some(fd) = file.and_then(|file| file.held.get()) {
        sys::close(fd);
    }
}

/// Removes the session file: the process is not watched any more, or ends as it should.
pub(crate) fn remove_session_file() {
    if let Some(file) = session_file().filter(|file| file.pid == sys::getpid()) {
        // SAFETY: the path is a valid string.
        unsafe { libc::unlink(file.path.as_ptr()) };
    }
    close_session_file();
}
