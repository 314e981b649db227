//! System calls that the standard library does not have, each with a safe face.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use libc::{c_int, c_long, c_void, pid_t};

use crate::retry::uninterrupted;

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Fills `buffer` from another process, wholly or not at all.
pub(crate) fn vm_read(pid: pid_t, address: u64, buffer: &mut [u8]) -> io::Result<()> {
    let remote_base = std::ptr::with_exposed_provenance_mut::<c_void>(
        usize::try_from(address).unwrap_or(usize::MAX),
    );
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: remote_base, iov_len: buffer.len() };
    // SAFETY: `local` is the caller's buffer; `remote` is only meant for the other process.
    let got = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    let got = usize::try_from(check(got.try_into().unwrap_or(-1))?).unwrap_or(0);
    if got == buffer.len() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
}

/// Most pages of one call: `UIO_MAXIOV` of the kernel.
pub(crate) const MOST_PAGES_AT_ONCE: usize = 1024;

/// Fills pages, each from its own address in another process, in one call. Gives how many, from the
/// first on, were filled: the one behind them cannot be read.
pub(crate) fn vm_read_pages<const SIZE: usize>(
    pid: pid_t,
    pages: &mut [(u64, Box<[u8; SIZE]>)],
) -> usize {
    let count = pages.len().min(MOST_PAGES_AT_ONCE);
    let vector = |base: *mut c_void| libc::iovec { iov_base: base, iov_len: SIZE };
    let place = |address: u64| usize::try_from(address).unwrap_or(usize::MAX);
    let remote: Vec<libc::iovec> = pages
        .iter()
        .take(count)
        .map(|(address, _)| vector(std::ptr::with_exposed_provenance_mut(place(*address))))
        .collect();
    let local: Vec<libc::iovec> =
        pages.iter_mut().take(count).map(|(_, page)| vector(page.as_mut_ptr().cast())).collect();
    let length = u64::try_from(count).unwrap_or(0);
    // SAFETY: each of `local` is a page of the caller's, which nobody else uses meanwhile; `remote`
    // is only meant for the other process.
    let got =
        unsafe { libc::process_vm_readv(pid, local.as_ptr(), length, remote.as_ptr(), length, 0) };
    usize::try_from(got).unwrap_or(0).checked_div(SIZE).unwrap_or(0)
}

/// Sends one message.
pub(crate) fn send(socket: &OwnedFd, message: &[u8]) -> io::Result<()> {
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    // SAFETY: the slice is valid for its length.
    let sent = unsafe { libc::send(fd, message.as_ptr().cast(), message.len(), flags) };
    check(sent.try_into().unwrap_or(-1)).map(|_| ())
}

/// Receives one message; an error at the end of the connection or after the deadline.
pub(crate) fn receive_before(
    socket: &OwnedFd,
    buffer: &mut [u8],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()).as_millis());
    let timeout = left.map_or(-1, |ms| c_int::try_from(ms).unwrap_or(c_int::MAX));
    if !wait_readable(&[socket.as_raw_fd()], timeout)?.contains(&true) {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
    let got = uninterrupted(|| {
        // SAFETY: the slice is valid for its length.
        let got = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags) };
        check(got.try_into().unwrap_or(-1))
    });
    match got? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        bytes => Ok(usize::try_from(bytes).unwrap_or(0)),
    }
}

/// Waits for descriptors; tells which are readable, closed, or (for a pidfd) ended.
pub(crate) fn wait_readable(fds: &[c_int], timeout_ms: c_int) -> io::Result<Vec<bool>> {
    let new = |fd: &c_int| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut polls: Vec<libc::pollfd> = fds.iter().map(new).collect();
    loop {
        let count = libc::nfds_t::try_from(polls.len()).unwrap_or(0);
        // SAFETY: the vector holds `count` entries.
        let ready = unsafe { libc::poll(polls.as_mut_ptr(), count, timeout_ms) };
        if ready >= 0 {
            return Ok(polls.iter().map(|poll| poll.revents != 0).collect());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Bytes that are free for this user on the disk of a file.
pub(crate) fn free_bytes(file: &std::fs::File) -> io::Result<u64> {
    let mut facts = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the call fills the structure; zeros are a valid value.
    let facts = unsafe {
        check(libc::fstatvfs(file.as_raw_fd(), facts.as_mut_ptr()).into())?;
        facts.assume_init()
    };
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// A descriptor that becomes readable when the process ends.
pub(crate) fn pidfd_open(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: takes plain numbers; the answer is a new descriptor that nobody else owns.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(std::os::fd::FromRawFd::from_raw_fd(c_int::try_from(fd).unwrap_or(-1)))
    }
}

/// Process id of the monitor.
pub(crate) fn own_pid() -> pid_t {
    pid_t::try_from(std::process::id()).unwrap_or(0)
}

/// Process id of whoever made the socket pair.
pub(crate) fn peer_pid(socket: &OwnedFd) -> io::Result<pid_t> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: place and size belong together.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut size,
        )
    };
    check(result.into()).map(|_| credentials.pid)
}

/// `PTRACE_LISTEN` (`linux/ptrace.h`).
const PTRACE_LISTEN: libc::c_uint = 0x4208;

fn ptrace(request: libc::c_uint, tid: pid_t, data: usize) -> io::Result<c_long> {
    let data = std::ptr::without_provenance_mut::<c_void>(data);
    // SAFETY: none of the requests used with this function writes to our memory.
    check(unsafe { libc::ptrace(request, tid, std::ptr::null_mut::<c_void>(), data) })
}

/// The first 64 processors that a thread may run on, a bit for each.
pub(crate) fn affinity(tid: pid_t) -> io::Result<u64> {
    let mut set = [0_u64; 128];
    let set_bytes = size_of_val(&set);
    // SAFETY: the kernel writes at most as many bytes as the array has.
    check(unsafe { libc::syscall(libc::SYS_sched_getaffinity, tid, set_bytes, set.as_mut_ptr()) })?;
    Ok(set.first().copied().unwrap_or(0))
}

/// Attaches without stopping.
pub(crate) fn ptrace_seize(tid: pid_t) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, tid, 0).map(|_| ())
}

/// Attaches without stopping, with `PTRACE_O_…` options.
pub(crate) fn ptrace_seize_with(tid: pid_t, options: c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, tid, usize::try_from(options).unwrap_or(0)).map(|_| ())
}

/// Leaves a thread stopped by job control, but lets a SIGCONT wake it.
pub(crate) fn ptrace_listen(tid: pid_t) -> io::Result<()> {
    ptrace(PTRACE_LISTEN, tid, 0).map(|_| ())
}

/// Asks a seized thread to stop.
pub(crate) fn ptrace_interrupt(tid: pid_t) -> io::Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, tid, 0).map(|_| ())
}

/// Lets a stopped thread go on, with the signal that it was about to receive (0 = none).
pub(crate) fn ptrace_detach(tid: pid_t, signal: c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH, tid, usize::try_from(signal).unwrap_or(0)).map(|_| ())
}

/// General registers of a stopped thread.
pub(crate) fn ptrace_registers(tid: pid_t) -> io::Result<libc::user_regs_struct> {
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: the place has the size that the request fills; zeros are a valid value.
    unsafe {
        check(libc::ptrace(libc::PTRACE_GETREGS, tid, null, registers.as_mut_ptr()))?;
        Ok(registers.assume_init())
    }
}

/// `siginfo_t` of the signal that a stopped thread is about to receive.
pub(crate) fn ptrace_siginfo(tid: pid_t) -> io::Result<[u8; 128]> {
    let mut info = [0_u8; 128];
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: a siginfo is 128 bytes (Linux, SI_MAX_SIZE).
    check(unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, tid, null, info.as_mut_ptr()) })?;
    Ok(info)
}

/// FXSAVE area of a stopped thread.
pub(crate) fn ptrace_fxsave(tid: pid_t) -> io::Result<[u8; 512]> {
    let mut area = [0_u8; 512];
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: `user_fpregs_struct` is 512 bytes on x86-64 (sys/user.h).
    check(unsafe { libc::ptrace(libc::PTRACE_GETFPREGS, tid, null, area.as_mut_ptr()) })?;
    Ok(area)
}

/// Most bytes of an XSAVE area; with AMX it has 11,008.
pub(crate) const MOST_EXTENDED_STATE: u64 = 64 * 1024;
/// `NT_X86_XSTATE` (`linux/elf.h`).
const NT_X86_XSTATE: usize = 0x202;

/// XSAVE area of a stopped thread, standard format.
pub(crate) fn ptrace_extended_state(tid: pid_t) -> io::Result<Vec<u8>> {
    let mut area = vec![0_u8; usize::try_from(MOST_EXTENDED_STATE).unwrap_or(0)];
    let mut vector = libc::iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() };
    let kind = std::ptr::without_provenance_mut::<c_void>(NT_X86_XSTATE);
    // SAFETY: the kernel fills at most `iov_len` bytes of the area, and says how many.
    check(unsafe { libc::ptrace(libc::PTRACE_GETREGSET, tid, kind, &raw mut vector) })?;
    area.truncate(vector.iov_len);
    Ok(area)
}

/// `PTRACE_O_SUSPEND_SECCOMP` (`linux/ptrace.h`).
pub(crate) const OPTION_SUSPEND_SECCOMP: c_int = 1 << 21;
/// `PTRACE_GET_RSEQ_CONFIGURATION` (`linux/ptrace.h`).
const PTRACE_GET_RSEQ_CONFIGURATION: libc::c_uint = 0x420F;

/// Sets general registers of a stopped thread.
pub(crate) fn ptrace_set_registers(
    tid: pid_t,
    registers: &libc::user_regs_struct,
) -> io::Result<()> {
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: the kernel reads a structure of the size that the request has.
    let set =
        unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, null, std::ptr::from_ref(registers)) };
    check(set).map(|_| ())
}

/// Blocked signals of a stopped thread, one bit each.
pub(crate) fn ptrace_signal_mask(tid: pid_t) -> io::Result<u64> {
    let mut mask = 0_u64;
    // SAFETY: the size of the place is told.
    check(unsafe { libc::ptrace(libc::PTRACE_GETSIGMASK, tid, size_of::<u64>(), &raw mut mask) })?;
    Ok(mask)
}

/// Blocks signals of a stopped thread.
pub(crate) fn ptrace_set_signal_mask(tid: pid_t, mask: u64) -> io::Result<()> {
    let size = size_of::<u64>();
    // SAFETY: the size of the place is told; the kernel only reads it.
    check(unsafe { libc::ptrace(libc::PTRACE_SETSIGMASK, tid, size, &raw const mask) }).map(|_| ())
}

/// Sets `PTRACE_O_…` options of a stopped thread.
pub(crate) fn ptrace_set_options(tid: pid_t, options: c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SETOPTIONS, tid, usize::try_from(options).unwrap_or(0)).map(|_| ())
}

/// Lets a stopped thread go on.
pub(crate) fn ptrace_continue(tid: pid_t, signal: c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_CONT, tid, usize::try_from(signal).unwrap_or(0)).map(|_| ())
}

/// Lets a stopped thread go on to the next begin or end of a system call.
pub(crate) fn ptrace_go_to_system_call(tid: pid_t, signal: c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SYSCALL, tid, usize::try_from(signal).unwrap_or(0)).map(|_| ())
}

/// What an event tells: the new process of a clone.
pub(crate) fn ptrace_event_message(tid: pid_t) -> io::Result<pid_t> {
    let mut message: libc::c_ulong = 0;
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: the request fills one `unsigned long`.
    check(unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, null, &raw mut message) })?;
    pid_t::try_from(message).map_err(io::Error::other)
}

/// Address of a stopped thread's `struct rseq`; `None` when it has none, or the kernel does not tell
/// (before Linux 5.13).
pub(crate) fn ptrace_rseq(tid: pid_t) -> Option<u64> {
    // `struct ptrace_rseq_configuration`: u64 address, u32 size, signature, flags, padding.
    let mut configuration = [0_u64; 3];
    let size = size_of_val(&configuration);
    let place = configuration.as_mut_ptr();
    // SAFETY: the size of the place is told.
    let got = unsafe { libc::ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, size, place) };
    configuration.first().copied().filter(|address| got > 0 && *address != 0)
}

/// Why a traced thread stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At the begin or the end of a system call.
    SystemCall,
    /// `PTRACE_EVENT_…`.
    Event(c_int),
    /// It is about to receive a signal.
    Signal(c_int),
}

/// Waits until a traced thread stops. An error when it is gone, or not there in time; `None` waits
/// for ever.
pub(crate) fn wait_stop(tid: pid_t, deadline: Option<Instant>) -> io::Result<Stop> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place.
        let got = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
        check(got.into())?;
        if got == tid {
            return stop_of(status);
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

fn stop_of(status: c_int) -> io::Result<Stop> {
    if !libc::WIFSTOPPED(status) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(match (status >> 16, libc::WSTOPSIG(status)) {
        (0, signal) if signal == libc::SIGTRAP | 0x80 => Stop::SystemCall,
        (0, signal) => Stop::Signal(signal),
        (event, _) => Stop::Event(event),
    })
}

/// Kills a traced process and takes it away.
pub(crate) fn kill_tracee(pid: pid_t) {
    let mut status = 0;
    // SAFETY: takes numbers, fills `status`. The number means our tracee as long as it was not
    // waited for to its end.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        while libc::waitpid(pid, &raw mut status, libc::__WALL) == pid && libc::WIFSTOPPED(status) {
        }
    }
}

/// What `waitpid` says of a traced thread, without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing yet.
    Running,
    /// It stopped; `signal` is what it was about to receive (0 = our interrupt).
    Stopped {
        /// To be given back at detach.
        signal: c_int,
    },
    /// It is gone.
    Gone,
}

/// What has happened to any child or traced thread: its id and the status; `None` when nothing has.
pub(crate) fn wait_any() -> Option<(pid_t, c_int)> {
    let mut status = 0;
    // SAFETY: `status` is a valid place.
    let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
    (tid > 0).then_some((tid, status))
}

/// What has happened to one traced thread: its status, or `None` when it is none any more.
pub(crate) fn wait_one(tid: pid_t) -> Option<Option<c_int>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place.
    match unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) } {
        0 => None,
        got if got == tid => Some(Some(status)),
        _ => Some(None),
    }
}

/// Looks whether a traced thread has stopped.
pub(crate) fn wait_thread(tid: pid_t) -> Wait {
    let mut status = 0;
    // SAFETY: `status` is a valid place.
    let got = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
    if got == 0 {
        return Wait::Running;
    }
    if got < 0 || !libc::WIFSTOPPED(status) {
        return Wait::Gone;
    }
    let is_event = (status >> 16) != 0;
    Wait::Stopped { signal: if is_event { 0 } else { libc::WSTOPSIG(status) } }
}

/// Takes away traced threads that have ended and lets go those that have stopped; tells whether
/// others are left.
pub(crate) fn has_tracees() -> bool {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place. The monitor has no children of its own.
        let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
        if tid <= 0 {
            return tid == 0;
        }
        if libc::WIFSTOPPED(status) {
            let is_event = (status >> 16) != 0;
            ptrace_detach(tid, if is_event { 0 } else { libc::WSTOPSIG(status) }).ok();
        }
    }
}

/// Unblocks all signals, ignores those that a terminal, a closed pipe or a size limit raises,
/// lifts the limit on the size of files as far as is allowed, lets go of the folder, and closes all descriptors from `first` on.
pub(crate) fn clean_start(first: libc::c_uint) {
    // SAFETY: changes this process's own signal mask, dispositions and descriptors, before
    // anything else runs in it.
    unsafe {
        let mut empty = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(empty.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, empty.as_ptr(), std::ptr::null_mut());
        let ignored = [libc::SIGPIPE, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGXFSZ];
        for signal in ignored {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut limit = std::mem::MaybeUninit::<libc::rlimit>::zeroed().assume_init();
        if libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
        }
        libc::chdir(c"/".as_ptr());
        libc::prctl(libc::PR_SET_NAME, c"lw-monitor".as_ptr());
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) != 0 {
            for fd in first..1024 {
                libc::close(c_int::try_from(fd).unwrap_or(-1));
            }
        }
    }
}

/// Takes a descriptor that this process inherited.
///
/// # Errors
/// When it is not open.
pub(crate) fn inherited(fd: c_int) -> io::Result<OwnedFd> {
    // SAFETY: asks only whether the number is open.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) }.into())?;
    // SAFETY: open (checked), and taken once, at the start of the process.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}

/// A file that stands in memory only.
pub(crate) fn memory_file(name: &std::ffi::CStr) -> io::Result<std::fs::File> {
    // SAFETY: the name is a string that ends in NUL; the call takes nothing else of ours.
    let fd = check(c_long::from(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) }))?;
    let fd = c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}
