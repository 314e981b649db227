//! Our own signals while a program is watched: all of them wait in one descriptor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Signals that are passed on when somebody sends them to us.
const PASSED_ON: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
];
const STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Something happened to the program.
    Child,
    /// The terminal wants the whole process group to stop.
    StopByTerminal,
    /// Somebody sent a signal to us.
    Sent { signal: i32, sender: i32 },
    /// What the program gets by itself.
    Other,
}

/// The signals, blocked, and what they were before.
pub(super) struct Signals {
    fd: OwnedFd,
    /// The mask that the program starts with.
    pub(super) mask: libc::sigset_t,
    /// Whether the program starts with SIGCHLD ignored.
    pub(super) is_child_ignored: bool,
}

impl Signals {
    /// Blocks them, and lets them arrive in a descriptor.
    pub(super) fn block() -> io::Result<Self> {
        // SAFETY: sets are local; changes this process's own mask and disposition.
        unsafe {
            let previous = libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
            libc::sigemptyset(&raw mut set);
            for signal in PASSED_ON.iter().chain(&STOPS).chain(&[libc::SIGCHLD]) {
                libc::sigaddset(&raw mut set, *signal);
            }
            let mut mask = std::mem::MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, &raw mut mask);
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = OwnedFd::from_raw_fd(fd);
            Ok(Self { fd, mask, is_child_ignored: previous == libc::SIG_IGN })
        }
    }

    /// Sleeps until one arrives.
    pub(super) fn wait(&self) -> Arrived {
        let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the place has the size; zeros are a valid value of its integers.
        let info = unsafe {
            libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size);
            info.assume_init()
        };
        let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
        let sender = i32::try_from(info.ssi_pid).unwrap_or(0);
        let is_sent = info.ssi_code <= 0;
        match signal {
            libc::SIGCHLD => Arrived::Child,
            _ if STOPS.contains(&signal) && !is_sent => Arrived::StopByTerminal,
            _ if is_sent && signal != 0 => Arrived::Sent { signal, sender },
            _ => Arrived::Other,
        }
    }
}

/// Stands still until somebody continues us.
pub(super) fn stop_self() {
    // SAFETY: stops this process; SIGSTOP cannot be blocked.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Dies of a signal without leaving a core file. Returns when the signal does not kill.
pub(super) fn die_of(signal: i32) {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: changes this process's own limits, disposition and mask, and sends it a signal.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::signal(signal, libc::SIG_DFL);
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(signal);
    }
}
