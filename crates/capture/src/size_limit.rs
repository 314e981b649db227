//! Making memory files in a host whose files may not grow (`RLIMIT_FSIZE`).
//!
//! The limit counts for memory files too, and beyond it the kernel sends `SIGXFSZ`, which kills a
//! host that has not chosen otherwise (CPython ignores it, embedding programs need not).

/// Runs `work` so that it meets the error `EFBIG` instead of the signal.
pub(crate) fn without_signal<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: zeros are valid sets; all places are local; only this thread's mask changes.
    unsafe {
        let mut signal: libc::sigset_t = std::mem::zeroed();
        let mut pending: libc::sigset_t = std::mem::zeroed();
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut signal, libc::SIGXFSZ);
        libc::sigpending(&raw mut pending);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signal, &raw mut mask);
        let result = work();
        if libc::sigismember(&raw const pending, libc::SIGXFSZ) == 0 {
            let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&raw const signal, std::ptr::null_mut(), &raw const no_time);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
        result
    }
}
