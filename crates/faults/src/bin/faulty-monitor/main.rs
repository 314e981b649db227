//! A monitor whose system calls go wrong: for tests, given as `LASTWORDS_MONITOR`.
//!
//! Starts the real monitor with the descriptors that it inherited, traces it (ptrace(2)), and does to its
//! system calls what an order says. A monitor gets neither arguments nor an environment, so both the order and
//! the real monitor's path are found through the watched process, which is the peer of the socket 3:
//!
//! | variable of that process | meaning |
//! |---|---|
//! | `TEST_MONITOR` | path of the real monitor |
//! | `TEST_INJECT_DIR` | folder; `PID` in it, or `order`, holds the order; what happened is appended to `PID.log` |
//!
//! The order is one line (`order.rs`). The log has one record a line: `monitor PID` at the start, `call PHASE NUMBER`
//! for each system call when the order is `record`, `hit NUMBER` for each one that was tampered with, and
//! `end STATUS` (of waitpid(2)).
//!
//! When this process dies, the monitor dies with it (`PTRACE_O_EXITKILL`), as if it had been killed itself.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("registers and numbers of system calls are those of x86-64 Linux");

mod order;
mod ptrace;
mod tamper;
mod tracer;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use order::Order;
use tracer::Tracer;

const SOCKET_FD: libc::c_int = 3;
const SHARED_FD: libc::c_int = 4;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<()> {
    let watched = peer_pid()?;
    let monitor = variable(watched, "TEST_MONITOR")?;
    let folder = variable(watched, "TEST_INJECT_DIR")?;
    let own_order = folder.join(watched.to_string());
    let text = std::fs::read_to_string(&own_order)
        .or_else(|_| std::fs::read_to_string(folder.join("order")))?;
    let order = Order::parse(&text).ok_or_else(|| io::Error::other("not an order"))?;
    let log = open_log(&folder.join(format!("{watched}.log")))?;
    let child = start(&monitor)?;
    close_inherited();
    Tracer::new(child, order, log, own_order)?.run()
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Process id of whoever made the socket pair.
fn peer_pid() -> io::Result<libc::pid_t> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: place and size belong together.
    let result = unsafe {
        libc::getsockopt(
            SOCKET_FD,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut size,
        )
    };
    if result == 0 { Ok(credentials.pid) } else { Err(io::Error::last_os_error()) }
}

/// A variable of the environment that a process was started with.
fn variable(pid: libc::pid_t, name: &str) -> io::Result<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let prefix = [name.as_bytes(), b"="].concat();
    let mut entries = environment.split(|byte| *byte == 0);
    let value = entries.find_map(|entry| entry.strip_prefix(prefix.as_slice()));
    let value = value.ok_or_else(|| io::Error::other("a variable is not set"))?;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(value)))
}

/// Starts the real monitor as a traced child that has stopped before its exec.
fn start(monitor: &Path) -> io::Result<libc::pid_t> {
    let path = CString::new(monitor.as_os_str().as_bytes())?;
    let arguments = [c"lastwords-monitor".as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    // SAFETY: this process has one thread, so the child may do what it likes; strings and arrays live until
    // the exec.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0_usize, 0_usize);
            libc::raise(libc::SIGSTOP);
            libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            libc::_exit(127);
        }
        if child < 0 { Err(io::Error::last_os_error()) } else { Ok(child) }
    }
}

/// Leaves socket and shared area to the monitor alone, so that its end is seen.
fn close_inherited() {
    for fd in [SOCKET_FD, SHARED_FD] {
        // SAFETY: descriptors that were inherited for the child, which has them now.
        unsafe { libc::close(fd) };
    }
}
