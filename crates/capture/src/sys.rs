//! System calls that the signal handler uses. All of them are async-signal-safe: plain calls
//! into the kernel, or functions that POSIX lists as such (signal-safety(7)).

use libc::{c_int, c_void};

pub(crate) fn errno() -> i32 {
    // SAFETY: the pointer is this thread's errno, valid for its whole life.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value };
}

pub(crate) fn getpid() -> i32 {
    // The raw call: glibc once cached the answer, and a vfork child must not see its parent's.
    // SAFETY: takes no arguments.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    i32::try_from(pid).unwrap_or(0)
}

pub(crate) fn gettid() -> i32 {
    // SAFETY: takes no arguments.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    i32::try_from(tid).unwrap_or(0)
}

/// Nanoseconds of a clock.
pub(crate) fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

pub(crate) fn sleep_ms(milliseconds: i64) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: milliseconds.saturating_mul(1_000_000) };
    // SAFETY: `time` is valid; the remainder is not wanted.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

pub(crate) fn close(fd: c_int) {
    // SAFETY: closing a descriptor touches no memory; callers own the descriptor.
    unsafe { libc::close(fd) };
}

/// Device and inode of a descriptor: tells whether a number still means the same file.
pub(crate) fn identity(fd: c_int) -> Option<(u64, u64)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is a valid place for the answer.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so the structure is filled.
    let stat = unsafe { stat.assume_init() };
    Some((stat.st_dev, stat.st_ino))
}

/// A descriptor of ours, and how to tell that its number still means our file: a host that
/// closes all descriptors may get the same number for a file of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    fd: c_int,
    identity: Option<(u64, u64)>,
}

impl Held {
    /// Remembers what the number means now; a negative number means nothing for ever.
    pub(crate) fn new(fd: c_int) -> Self {
        Self { fd, identity: identity(fd) }
    }

    /// The number, if it still means our file.
    pub(crate) fn get(self) -> Option<c_int> {
        (self.identity.is_some() && identity(self.fd) == self.identity).then_some(self.fd)
    }
}

/// State of a thread that is not to be cancelled (`pthread.h`, `PTHREAD_CANCEL_DISABLE`).
pub(crate) const CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    // Not declared by the libc crate for Linux.
    fn pthread_setcancelstate(state: c_int, old_state: *mut c_int) -> c_int;
}

/// Sets whether this thread can be cancelled; gives the state before.
pub(crate) fn set_cancel_state(state: c_int) -> c_int {
    let mut old = 0;
    // SAFETY: `old` is a valid place.
    unsafe { pthread_setcancelstate(state, &raw mut old) };
    old
}

/// Longest wait for whoever reads stderr.
const STDERR_WAIT_MS: c_int = 200;

/// Writes to stderr, once; a short write is not repeated. Writes nothing where it would block (a
/// pipe that nobody empties) or raise `SIGPIPE`.
pub(crate) fn write_stderr(text: &[u8]) {
    let mut poll = libc::pollfd { fd: 2, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid pollfd.
    let ready = unsafe { libc::poll(&raw mut poll, 1, STDERR_WAIT_MS) };
    if ready != 1 || poll.revents != libc::POLLOUT {
        return;
    }
    // SAFETY: the slice is valid for its length.
    unsafe { libc::write(2, text.as_ptr().cast::<c_void>(), text.len()) };
}

/// Sends one message without blocking and without `SIGPIPE`.
pub(crate) fn send(fd: c_int, message: &[u8]) -> bool {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the slice is valid for its length.
    let sent = unsafe { libc::send(fd, message.as_ptr().cast::<c_void>(), message.len(), flags) };
    usize::try_from(sent).is_ok_and(|bytes| bytes == message.len())
}

/// Waits until a message or the end of the connection is there; false after the time.
pub(crate) fn wait_readable(fd: c_int, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
}

/// Receives one message; `None` at the end of the connection or on an error.
pub(crate) fn receive(fd: c_int, buffer: &mut [u8]) -> Option<&[u8]> {
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the slice is valid for its length.
    let got = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast::<c_void>(), buffer.len(), flags) };
    let got = usize::try_from(got).ok().filter(|bytes| *bytes > 0)?;
    buffer.get(..got)
}
