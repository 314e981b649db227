//! The scanning lock: tried for, not waited for, and free in a forked child.
//!
//! `fork` waits until no scan is at work, and nobody asks for the counts ([`while_no_fork`]): a child
//! would otherwise inherit the dynamic linker's lock taken by a thread that it does not have, and
//! could load nothing any more.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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

/// Threads that are inside of [`while_no_fork`].
static ASKING: AtomicU32 = AtomicU32::new(0);
/// Forks that are being made.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Asks the dynamic linker for something, and holds back a `fork` meanwhile; `None` without asking
/// where one is being made.
pub(super) fn while_no_fork<T>(ask: impl FnOnce() -> T) -> Option<T> {
    // Both sides write first and look then, in one order for all: one of them sees the other.
    ASKING.fetch_add(1, Ordering::SeqCst);
    let answer = (FORKS.load(Ordering::SeqCst) == 0).then(ask);
    ASKING.fetch_sub(1, Ordering::Release);
    answer
}

/// Whether the thread that forks holds the lock.
static IS_FORKING: AtomicBool = AtomicBool::new(false);
/// Longest wait of a fork: one out of a signal handler that interrupted a scan must go on.
const FORK_WAIT_MS: usize = 100;

unsafe extern "C" fn prepare() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    let mut is_taken = false;
    let cancel_state = sys::set_cancel_state(sys::CANCEL_DISABLE);
    for _ in 0..FORK_WAIT_MS {
        if !is_taken && let Some(alone) = try_take() {
            std::mem::forget(alone);
            IS_FORKING.store(true, Ordering::Relaxed);
            is_taken = true;
        }
        if is_taken && ASKING.load(Ordering::SeqCst) == 0 {
            break;
        }
        sys::sleep_ms(1);
    }
    sys::set_cancel_state(cancel_state);
}

unsafe extern "C" fn in_parent() {
    FORKS.fetch_sub(1, Ordering::Release);
    if IS_FORKING.swap(false, Ordering::Relaxed) {
        SCANNING.store(false, Ordering::Release);
    }
}

/// The child has no thread that scans or asks.
unsafe extern "C" fn in_child() {
    ASKING.store(0, Ordering::Relaxed);
    FORKS.store(0, Ordering::Relaxed);
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
