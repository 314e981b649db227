//! The fatal signals: installing our handler, and putting back what was there before.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU8, Ordering};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, c_int};

/// Signals that end a process because of a fault of its own.
pub(crate) const FATAL: [c_int; 7] = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS];

/// Our handler was never installed for the signal.
const NEVER: u8 = 0;
/// It is installed, or in the chain of somebody who came after us.
const INSTALLED: u8 = 1;
/// It was installed, and `uninstall` has put the previous action back.
const REMOVED: u8 = 2;

struct Slot {
    signal: c_int,
    state: AtomicU8,
    previous: std::cell::UnsafeCell<MaybeUninit<libc::sigaction>>,
}

// SAFETY: `previous` is written only under the arming lock while `state` is not `INSTALLED`, and
// read only after it was seen to be (release/acquire).
unsafe impl Sync for Slot {}

impl Slot {
    const fn new(signal: c_int) -> Self {
        Self {
            signal,
            state: AtomicU8::new(NEVER),
            previous: std::cell::UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

static SLOTS: [Slot; 7] = [
    Slot::new(SIGSEGV),
    Slot::new(SIGBUS),
    Slot::new(SIGFPE),
    Slot::new(SIGILL),
    Slot::new(SIGABRT),
    Slot::new(SIGTRAP),
    Slot::new(SIGSYS),
];

pub(crate) type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Installs `handler` for every fatal signal. Call under the arming lock.
///
/// `SA_NODEFER` lets a fault inside the handler reach the handler again, which then gives up;
/// all other signals are blocked meanwhile.
pub(crate) fn install(handler: Handler) {
    // SAFETY: zero is a valid `sigaction`; the set functions fill a valid set.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: as above.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    for signal in FATAL {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&raw mut action.sa_mask, signal) };
    }
    for slot in &SLOTS {
        let before = slot.state.load(Ordering::Acquire);
        if before == INSTALLED {
            continue;
        }
        // SAFETY: `previous` is ours to write (see `Slot`); both pointers are valid.
        let set = unsafe {
            let previous = (*slot.previous.get()).as_mut_ptr();
            libc::sigaction(slot.signal, std::ptr::null(), previous);
            slot.state.store(INSTALLED, Ordering::Release);
            libc::sigaction(slot.signal, &raw const action, std::ptr::null_mut())
        };
        if set != 0 {
            slot.state.store(before, Ordering::Release);
        }
    }
}

fn state(signal: c_int) -> u8 {
    let slot = SLOTS.iter().find(|slot| slot.signal == signal);
    slot.map_or(NEVER, |slot| slot.state.load(Ordering::Acquire))
}

/// What was installed before us; `None` when we are not installed for this signal.
fn previous(signal: c_int) -> Option<*const libc::sigaction> {
    let is_installed = |slot: &&Slot| slot.state.load(Ordering::Acquire) == INSTALLED;
    let slot = SLOTS.iter().filter(|slot| slot.signal == signal).find(is_installed);
    // SAFETY: the state was seen to be `INSTALLED`, so the value is written.
    slot.map(|slot| unsafe { (*slot.previous.get()).as_ptr() })
}

/// Whether the host had chosen to ignore this signal.
pub(crate) fn was_ignored(signal: c_int) -> bool {
    // SAFETY: the pointer is valid, see `previous`.
    previous(signal).is_some_and(|action| unsafe { (*action).sa_sigaction == libc::SIG_IGN })
}

/// Puts back the previous action of one signal; where `uninstall` was faster, it stands there
/// already. Async-signal-safe.
pub(crate) fn restore_previous(signal: c_int) {
    match previous(signal) {
        // SAFETY: the pointer is valid, see `previous`.
        Some(action) => unsafe {
            libc::sigaction(signal, action, std::ptr::null_mut());
        },
        None if state(signal) == REMOVED => {}
        None => restore_default(signal),
    }
}

/// Puts the default action of one signal. Async-signal-safe.
pub(crate) fn restore_default(signal: c_int) {
    // SAFETY: zero is a valid `sigaction` and means SIG_DFL without flags.
    unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Takes our handler away where it still stands; somebody who came after us keeps the place,
/// and our handler then only hands on. Call under the arming lock.
pub(crate) fn uninstall(handler: Handler) {
    for slot in &SLOTS {
        if slot.state.load(Ordering::Acquire) != INSTALLED {
            continue;
        }
        // SAFETY: zero is a valid `sigaction`; the call fills it.
        let current = unsafe {
            let mut current: libc::sigaction = std::mem::zeroed();
            libc::sigaction(slot.signal, std::ptr::null(), &raw mut current);
            current
        };
        if current.sa_sigaction == handler as usize {
            restore_previous(slot.signal);
            slot.state.store(REMOVED, Ordering::Release);
        }
    }
}
