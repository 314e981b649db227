//! `SIGTERM` to the monitor itself: the machine, the service or the session shuts down, and whatever
//! ends the process now was wanted.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A descriptor that is readable once the signal came. The signal itself no longer ends us: we end
/// with the process.
#[derive(Debug)]
pub(crate) struct Termination(OwnedFd);

impl Termination {
    /// Takes the signal over from its default action.
    ///
    /// # Errors
    /// What the kernel says; the signal ends the monitor then.
    pub(crate) fn take_over() -> io::Result<Self> {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is local and valid; the new descriptor is nobody else's.
        unsafe {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            let fd = libc::signalfd(-1, set.as_ptr(), flags);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// The descriptor to wait for.
    pub(crate) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
