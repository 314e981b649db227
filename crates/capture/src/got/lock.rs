//! The scanning lock: tried for, not waited for, and free in a forked child.
//!
//! `fork` waits until no scan is at work: a child would otherwise inherit the dynamic linker's
//! lock taken by a thread that it does not have, and could load nothing any more.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys;

static SCANNING: AtomicBool = AtomicBool::new(false);

/// Holds the lock.
pub(super) struct Alone(());

impl Drop for Alone {
    fn drop(&mut self) {
        SCANNING.store(false, Ordering::Release);
    }
}

/// Takes the lock, or gives up at once.
pub(super) fn try_take() -> Option<Alone> {
    let taken = SCANNING.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
    taken.ok().map(|_| Alone(()))
}

/// Waits for the lock. A scan takes less than a millisecond.
pub(super) fn wait() -> Alone {
    loop {
        if let Some(alone) = try_take() {
            return alone;
        }
        sys::sleep_ms(1);
    }
}

/// Whether the thread that forks holds the lock.
static IS_FORKING: AtomicBool = AtomicBool::new(false);
/// Longest wait of a fork: one out of a signal handler that interrupted a scan must go on.
const FORK_WAIT_MS: usize = 100;

unsafe extern "C" fn prepare() {
    for _ in 0..FORK_WAIT_MS {
        if let Some(alone) = try_take() {
            std::mem::forget(alone);
            IS_FORKING.store(true, Ordering::Relaxed);
            return;
        }
        sys::sleep_ms(1);
    }
}

unsafe extern "C" fn in_parent() {
    if IS_FORKING.swap(false, Ordering::Relaxed) {
        SCANNING.store(false, Ordering::Release);
    }
}

/// The child has no thread that scans.
unsafe extern "C" fn in_child() {
    IS_FORKING.store(false, Ordering::Relaxed);
    SCANNING.store(false, Ordering::Release);
}

/// Registers with `fork`, once.
pub(super) fn before_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions stay loaded as long as this module, and glibc forgets them with it.
        unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    });
}
