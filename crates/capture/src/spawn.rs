//! Starting the monitor, from `arm` and from the signal handler alike.
//!
//! Two nested clones: the monitor becomes nobody's child, so the host never meets it in
//! `wait()`. Both share the host's memory until the exec (`CLONE_VM | CLONE_VFORK`), so
//! starting costs the same however large the host is, runs no `pthread_atfork` handlers and
//! takes no lock. They exit with signal 0, so the host gets no `SIGCHLD`.
//!
//! Calls after `clone`: setsid, open, dup2, fstat, execveat, execve, _exit. All signals stay blocked
//! in the children; the monitor unblocks them.

use std::ffi::CString;

use libc::{c_char, c_int, c_void};

use crate::sys::{self, Held};

/// Descriptor of the socket in the monitor.
pub const MONITOR_SOCKET_FD: c_int = 3;
/// Descriptor of the shared area in the monitor.
pub const MONITOR_SHARED_FD: c_int = 4;
/// Descriptor of the session file in the monitor that watches from the start; closed in others.
pub const MONITOR_SESSION_FD: c_int = 5;
/// Descriptors of ours stay at or above this number, out of the way of programs that expect
/// the low ones, and of the fixed numbers above.
pub(crate) const LOWEST_FD: c_int = 64;
const STACK_SIZE: usize = 32 * 1024;

/// All that starting a monitor needs, prepared ahead of a crash; never freed.
pub(crate) struct Plan {
    /// The executable held open as a memory file.
    pub(crate) executable: Held,
    /// The shared area.
    pub(crate) shared: Held,
    path: CString,
    stacks: [*mut c_void; 2],
}

// SAFETY: the stacks are used by one spawn at a time: `arm` holds the arming lock, the handler
// is the single owner of the crash.
unsafe impl Sync for Plan {}
// SAFETY: the pointers are plain memory of the process, bound to no thread.
unsafe impl Send for Plan {}

impl Plan {
    /// Allocates the children's stacks; `None` when there is no memory for them.
    pub(crate) fn new(path: CString, executable_fd: c_int, shared_fd: c_int) -> Option<Self> {
        let stacks = [new_stack()?, new_stack()?];
        let (executable, shared) = (Held::new(executable_fd), Held::new(shared_fd));
        Some(Self { executable, shared, path, stacks })
    }

    /// Whether this plan starts the executable at `path` for the area `shared_fd`.
    pub(crate) fn is_for(&self, path: &str, shared_fd: c_int) -> bool {
        self.path.as_bytes() == path.as_bytes()
            && self.executable.get().is_some()
            && self.shared.get() == Some(shared_fd)
    }

    /// The same plan with stacks of its own, for a start outside the handler.
    pub(crate) fn with_new_stacks(&self) -> Option<Self> {
        Some(Self { path: self.path.clone(), stacks: [new_stack()?, new_stack()?], ..*self })
    }

    /// Unmaps the stacks of a plan that was never published.
    pub(crate) fn free_stacks(self) {
        for top in self.stacks {
            // SAFETY: mapped by `new_stack`, and no child runs on it any more.
            unsafe { libc::munmap(top.wrapping_byte_sub(STACK_SIZE), STACK_SIZE) };
        }
    }

    /// The same plan for another shared area: what a forked child needs.
    pub(crate) fn for_area(&self, shared_fd: c_int) -> Self {
        Self { shared: Held::new(shared_fd), path: self.path.clone(), ..*self }
    }
}

fn new_stack() -> Option<*mut c_void> {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping touches nothing that exists.
    let stack = unsafe { libc::mmap(std::ptr::null_mut(), STACK_SIZE, protection, flags, -1, 0) };
    (stack != libc::MAP_FAILED).then(|| stack.wrapping_byte_add(STACK_SIZE))
}

struct Launch<'a> {
    plan: &'a Plan,
    socket: c_int,
    shared_fd: c_int,
    session_fd: Option<c_int>,
    monitor_pid: c_int,
    error: c_int,
}

/// Starts a monitor that talks over `socket` and reads the area `shared_fd`; gives its process
/// id or an errno.
///
/// Async-signal-safe. Takes about 0.5 ms, until the exec.
pub(crate) fn spawn(plan: &Plan, socket: c_int, shared_fd: c_int) -> Result<c_int, c_int> {
    spawn_watching(plan, socket, shared_fd, None)
}

/// As [`spawn`]; the monitor also gets the session file, and so watches for the process's end.
pub(crate) fn spawn_watching(
    plan: &Plan,
    socket: c_int,
    shared_fd: c_int,
    session_fd: Option<c_int>,
) -> Result<c_int, c_int> {
    let errno = sys::errno();
    let mut launch = Launch { plan, socket, shared_fd, session_fd, monitor_pid: -1, error: 0 };
    let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid places; blocking signals in this thread keeps handlers of the
    // host from running in the children while they share its memory.
    unsafe {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), mask.as_mut_ptr());
    }
    let child = clone_vfork(first_child, plan.stacks[0], &raw mut launch);
    if child > 0 {
        // SAFETY: waits for our own child only; the status is not wanted.
        while unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL) } < 0
            && sys::errno() == libc::EINTR
        {}
    } else {
        launch.error = sys::errno();
    }
    // SAFETY: `mask` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), std::ptr::null_mut()) };
    sys::set_errno(errno);
    if launch.error == 0 && launch.monitor_pid > 0 {
        Ok(launch.monitor_pid)
    } else {
        Err(launch.error)
    }
}

type ChildMain = extern "C" fn(*mut c_void) -> c_int;

fn clone_vfork(main: ChildMain, stack_top: *mut c_void, launch: *mut Launch<'_>) -> c_int {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    // SAFETY: the stack is ours and unused; this thread sleeps until the child has called exec
    // or exit, so `launch` outlives its use.
    unsafe { libc::clone(main, stack_top, flags, launch.cast::<c_void>()) }
}

extern "C" fn first_child(argument: *mut c_void) -> c_int {
    let launch = argument.cast::<Launch<'_>>();
    // SAFETY: `spawn` sleeps meanwhile and gave us its `Launch`.
    let plan = unsafe { (*launch).plan };
    let pid = clone_vfork(second_child, plan.stacks[1], launch);
    // SAFETY: as above; the second child has executed the monitor or is gone.
    unsafe {
        (*launch).monitor_pid = pid;
        if pid < 0 {
            (*launch).error = sys::errno();
        }
    }
    0
}

extern "C" fn second_child(argument: *mut c_void) -> c_int {
    let launch = argument.cast::<Launch<'_>>();
    // SAFETY: the parents sleep meanwhile; the descriptors are above those replaced here
    // (`LOWEST_FD`); strings and arrays live until the exec.
    unsafe {
        let (plan, socket, shared_fd) = ((*launch).plan, (*launch).socket, (*launch).shared_fd);
        libc::setsid();
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for standard in 0..=2 {
            libc::dup2(null, standard);
        }
        libc::dup2(socket, MONITOR_SOCKET_FD);
        libc::dup2(shared_fd, MONITOR_SHARED_FD);
        match (*launch).session_fd {
            Some(session_fd) => libc::dup2(session_fd, MONITOR_SESSION_FD),
            None => libc::close(MONITOR_SESSION_FD),
        };
        let arguments = [c"lastwords-monitor".as_ptr(), std::ptr::null()];
        let environment: [*const c_char; 1] = [std::ptr::null()];
        if let Some(executable) = plan.executable.get() {
            libc::syscall(
                libc::SYS_execveat,
                executable,
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        libc::execve(plan.path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        (*launch).error = sys::errno();
        libc::_exit(127)
    }
}

/// A connected pair of sockets at or above [`LOWEST_FD`], closed on exec: ours, the monitor's.
/// Async-signal-safe.
pub(crate) fn socket_pair() -> Option<(c_int, c_int)> {
    let mut pair = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `pair` has room for two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) } != 0 {
        return None;
    }
    let [ours, theirs] = pair;
    Some((move_up(ours), move_up(theirs)))
}

/// Gives a descriptor a number at or above [`LOWEST_FD`]; keeps it where that fails.
pub(crate) fn move_up(fd: c_int) -> c_int {
    // SAFETY: duplicates a descriptor that the caller owns.
    let high = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, LOWEST_FD) };
    if high < 0 {
        return fd;
    }
    sys::close(fd);
    high
}
