//! Starting the program: it waits until it is traced, then executes.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use super::super::procfs::process_name;
use super::super::target::Status;
use super::signals::Signals;
use super::sys;
use crate::failure::Failure;

/// What a started program left of the way.
pub(super) struct Started {
    pub(super) pid: i32,
    /// Where it tells why it could not be executed; closed when it was.
    error: File,
    name: String,
}

impl Started {
    /// Asked after its end: whether it was executed at all.
    pub(super) fn check(mut self) -> Result<(), Failure> {
        let mut errno = [0; 4];
        if self.error.read_exact(&mut errno).is_err() {
            return Ok(());
        }
        let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
        Err(not_executed(&self.name, &error))
    }
}

fn not_executed(name: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        let hint = format!("check the name: command -v {name}");
        return Failure::new("command_not_found", format!("there is no command {name}"), hint);
    }
    let message = format!("{name} cannot be executed: {error}");
    let hint = format!("check what it is: file {name}; ls -l {name}");
    Failure::new("command_not_executable", message, hint)
}

pub(super) fn not_started(command: &[OsString], error: &io::Error) -> Failure {
    let name = command.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let message = format!("{name} could not be started: {error}");
    Failure::new(
        "command_not_started",
        message,
        "check the limits of processes and memory: ulimit -a",
    )
}

/// Starts `command`, traced, with the signals that we were started with.
pub(super) fn start(
    command: &[OsString],
    signals: &Signals,
    is_following: bool,
) -> Result<Started, Failure> {
    let failed = |error: io::Error| not_started(command, &error);
    let words: Result<Vec<CString>, _> =
        command.iter().map(|word| CString::new(word.as_bytes())).collect();
    let words = words.map_err(|error| failed(error.into()))?;
    let name = command.first().map(|name| name.to_string_lossy().into_owned());
    let (may_go, mut go) = pipe().map_err(failed)?;
    let (error, tell) = pipe().map_err(failed)?;
    let child = Child { words: pointers(&words), signals, may_go: &may_go, go: &go, tell: &tell };
    // SAFETY: this process has one thread, so the child may do what it likes; it only executes.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(failed(io::Error::last_os_error())),
        0 => child.execute(),
        pid => pid,
    };
    if let Err(error) = sys::ptrace_seize_with(pid, options(is_following)) {
        let failure = not_watched(pid, &error);
        drop(go);
        // SAFETY: takes away our own child, which ends as its pipe closes.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        return Err(failure);
    }
    go.write_all(&[1]).map_err(failed)?;
    Ok(Started { pid, error, name: name.unwrap_or_default() })
}

fn not_watched(pid: i32, error: &io::Error) -> Failure {
    let tracer = Status::read(pid).and_then(|status| status.number("TracerPid"));
    if let Some(tracer) = tracer.filter(|tracer| *tracer != 0) {
        let message = format!(
            "the program is watched by process {tracer} ({}) already",
            process_name(tracer)
        );
        let hint = "start that one so that it leaves children alone: lastwords run --no-children";
        return Failure::new("process_not_traceable", message, hint);
    }
    let message = format!("a program may not be watched here: {error}");
    let hint = "in a container, allow ptrace: --cap-add=SYS_PTRACE, or a seccomp profile that \
                permits it";
    Failure::new("process_not_traceable", message, hint)
}

fn options(is_following: bool) -> i32 {
    let threads = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACECLONE;
    if is_following {
        threads | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK
    } else {
        threads
    }
}

fn pipe() -> io::Result<(File, File)> {
    let mut pair = [-1; 2];
    // SAFETY: `pair` has room for two descriptors, which nobody else owns.
    unsafe {
        if libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        let [read, write] = pair.map(|fd| OwnedFd::from_raw_fd(fd));
        Ok((read.into(), write.into()))
    }
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

struct Child<'a> {
    words: Vec<*const libc::c_char>,
    signals: &'a Signals,
    may_go: &'a File,
    go: &'a File,
    tell: &'a File,
}

impl Child<'_> {
    /// Runs in the child, does not return. Only system calls.
    fn execute(&self) -> ! {
        // SAFETY: descriptors and strings live until the exec; a failed read or exec ends here.
        unsafe {
            libc::close(self.go.as_raw_fd());
            let mut byte = 0_u8;
            let fd = self.may_go.as_raw_fd();
            while libc::read(fd, (&raw mut byte).cast(), 1) < 0
                && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
            {}
            if byte != 1 {
                libc::_exit(1);
            }
            // Python and Rust ignore it from their start on; programs expect the default.
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            if self.signals.is_child_ignored {
                libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            }
            libc::sigprocmask(
                libc::SIG_SETMASK,
                &raw const self.signals.mask,
                std::ptr::null_mut(),
            );
            if let Some(program) = self.words.first() {
                libc::execvp(*program, self.words.as_ptr());
            }
            let errno = *libc::__errno_location();
            libc::write(self.tell.as_raw_fd(), (&raw const errno).cast(), 4);
            libc::_exit(127)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_has_a_code_and_the_shells_status() {
        let failure = not_executed("x", &io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!((failure.code, failure.exit_status()), ("command_not_found", 127));
        let failure = not_executed("x", &io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!((failure.code, failure.exit_status()), ("command_not_executable", 126));
        let error = io::Error::from_raw_os_error(libc::EAGAIN);
        let failure = not_started(&["x".into()], &error);
        assert_eq!((failure.code, failure.exit_status()), ("command_not_started", 1));
        assert!(failure.message.contains("Resource temporarily unavailable"));
    }
}
