//! The fatal signals: installing our handler, and putting back what was there before.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, c_int};

/// Signals that end a process because of a fault of its own.
pub(crate) const FATAL: [c_int; 7] = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS];

struct Slot {
    signal: c_int,
    is_installed: AtomicBool,
    previous: std::cell::UnsafeCell<MaybeUninit<libc::sigaction>>,
}

// SAFETY: `previous` is written only under the arming lock while `is_installed` is false, and
// read only after `is_installed` was seen true (release/acquire).
unsafe impl Sync for Slot {}

impl Slot {
    const fn new(signal: c_int) -> Self {
        Self {
            signal,
            is_installed: AtomicBool::new(false),
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
        if slot.is_installed.load(Ordering::Acquire) {
            continue;
        }
        // SAFETY: `previous` is ours to write (see `Slot`); both pointers are valid.
        let set = unsafe {
            let previous = (*slot.previous.get()).as_mut_ptr();
            libc::sigaction(slot.signal, std::ptr::null(), previous);
            slot.is_installed.store(true, Ordering::Release);
            libc::sigaction(slot.signal, &raw const action, std::ptr::null_mut())
        };
        slot.is_installed.store(set == 0, Ordering::Release);
    }
}

fn slot(signal: c_int) -> Option<&'static Slot> {
    SLOTS.iter().find(|slot| slot.signal == signal && slot.is_installed.load(Ordering::Acquire))
}

/// What was installed before us; `None` when we are not installed for this signal.
fn previous(signal: c_int) -> Option<*const libc::sigaction> {
    // SAFETY: `is_installed` was seen true, so the value is written.
    slot(signal).map(|slot| unsafe { (*slot.previous.get()).as_ptr() })
}

/// Whether the host had chosen to ignore this signal.
pub(crate) fn was_ignored(signal: c_int) -> bool {
    // SAFETY: the pointer is valid, see `previous`.
    previous(signal).is_some_and(|action| unsafe { (*action).sa_sigaction == libc::SIG_IGN })
}

/// Puts back the previous action of one signal. Async-signal-safe.
pub(crate) fn restore_previous(signal: c_int) {
    match previous(signal) {
        // SAFETY: the pointer is valid, see `previous`.
        Some(action) => unsafe {
            libc::sigaction(signal, action, std::ptr::null_mut());
        },
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
        if !slot.is_installed.load(Ordering::Acquire) {
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
            slot.is_installed.store(false, Ordering::Release);
        }
    }
}
