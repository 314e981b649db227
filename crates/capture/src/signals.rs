//! The fatal signals: installing our handler, and putting back what was there before.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use libc::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ, c_int,
};

/// Our handler was never installed for the signal.
const NEVER: u8 = 0;
/// It is installed, or in the chain of somebody who came after us.
const INSTALLED: u8 = 1;
/// It was installed, and `uninstall` has put the previous action back.
const REMOVED: u8 = 2;

struct Slot {
    signal: c_int,
    /// Whether the signal ends a process because of a fault of its own; the others are reported
    /// on request.
    is_fault: bool,
    state: AtomicU8,
    /// The previous action was to be used once, and was.
    is_consumed: AtomicBool,
    previous: std::cell::UnsafeCell<MaybeUninit<libc::sigaction>>,
}

// SAFETY: `previous` is written only under the arming lock while `state` is not `INSTALLED`, and
// read only after it was seen to be (release/acquire).
unsafe impl Sync for Slot {}

const fn slot(signal: c_int, is_fault: bool) -> Slot {
    Slot {
        signal,
        is_fault,
        state: AtomicU8::new(NEVER),
        is_consumed: AtomicBool::new(false),
        previous: std::cell::UnsafeCell::new(MaybeUninit::uninit()),
    }
}

static SLOTS: [Slot; 10] = [
    slot(SIGSEGV, true),
    slot(SIGBUS, true),
    slot(SIGFPE, true),
    slot(SIGILL, true),
    slot(SIGABRT, true),
    slot(SIGTRAP, true),
    slot(SIGSYS, true),
    slot(SIGQUIT, false),
    slot(SIGXCPU, false),
    slot(SIGXFSZ, false),
];

pub(crate) type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Installs `handler` for every fault, and for the optional signals of `extra`; takes it away from
/// the other optional ones. Call under the arming lock.
///
/// An optional signal that the host ignores stays ignored: it ends nothing.
///
/// `SA_NODEFER` lets a fault inside the handler reach the handler again, which then gives up;
/// all other signals are blocked meanwhile.
pub(crate) fn install(handler: Handler, extra: &[c_int]) {
    let action = action_of(handler);
    for slot in &SLOTS {
        if slot.is_fault || extra.contains(&slot.signal) {
            slot.install(&action);
        } else {
            slot.uninstall(handler);
        }
    }
}

fn action_of(handler: Handler) -> libc::sigaction {
    // SAFETY: zero is a valid `sigaction`; the set functions fill a valid set.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: as above.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    for slot in SLOTS.iter().filter(|slot| slot.is_fault) {
        // SAFETY: as above.
        unsafe { libc::sigdelset(&raw mut action.sa_mask, slot.signal) };
    }
    action
}

impl Slot {
    fn install(&self, action: &libc::sigaction) {
        let before = self.state.load(Ordering::Acquire);
        if before == INSTALLED {
            return;
        }
        // SAFETY: `previous` is ours to write (see `Slot`); both pointers are valid.
        let set = unsafe {
            let previous = (*self.previous.get()).as_mut_ptr();
            libc::sigaction(self.signal, std::ptr::null(), previous);
            if !self.is_fault && (*previous).sa_sigaction == libc::SIG_IGN {
                return;
            }
            self.is_consumed.store(false, Ordering::Release);
            self.state.store(INSTALLED, Ordering::Release);
            libc::sigaction(self.signal, action, std::ptr::null_mut())
        };
        if set != 0 {
            self.state.store(before, Ordering::Release);
        }
    }

    /// Puts back the previous action where our handler still stands; somebody who came after us
    /// keeps the place, and our handler then only hands on.
    fn uninstall(&self, handler: Handler) {
        if self.state.load(Ordering::Acquire) != INSTALLED {
            return;
        }
        if current(self.signal).sa_sigaction == handler as usize {
            restore_previous(self.signal);
            self.state.store(REMOVED, Ordering::Release);
        }
    }
}

fn state(signal: c_int) -> u8 {
    let slot = SLOTS.iter().find(|slot| slot.signal == signal);
    slot.map_or(NEVER, |slot| slot.state.load(Ordering::Acquire))
}

/// The action of a signal now. Async-signal-safe.
pub(crate) fn current(signal: c_int) -> libc::sigaction {
    // SAFETY: zero is a valid `sigaction`; the call fills it.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut current);
        current
    }
}

/// Sets the action of a signal. Async-signal-safe.
pub(crate) fn set(signal: c_int, action: &libc::sigaction) {
    // SAFETY: the action is valid.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
}

/// Puts our handler back into the place that somebody took during its call. Async-signal-safe.
pub(crate) fn take_again(signal: c_int, handler: Handler) {
    set(signal, &action_of(handler));
}

/// Notes that the previous handler, which was to be called once, has been called.
pub(crate) fn consume_previous(signal: c_int) {
    if let Some(slot) = SLOTS.iter().find(|slot| slot.signal == signal) {
        slot.is_consumed.store(true, Ordering::Release);
    }
}

/// What was installed before us; `None` when we are not installed for this signal, or it was to be
/// called once and has been.
pub(crate) fn previous(signal: c_int) -> Option<*const libc::sigaction> {
    let is_there = |slot: &&Slot| {
        slot.state.load(Ordering::Acquire) == INSTALLED && !slot.is_consumed.load(Ordering::Acquire)
    };
    let slot = SLOTS.iter().filter(|slot| slot.signal == signal).find(is_there);
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
        Some(action) => set(signal, unsafe { &*action }),
        None if state(signal) == REMOVED => {}
        None => restore_default(signal),
    }
}

/// Puts the default action of one signal. Async-signal-safe.
pub(crate) fn restore_default(signal: c_int) {
    // SAFETY: zero is a valid `sigaction` and means SIG_DFL without flags.
    set(signal, &unsafe { std::mem::zeroed() });
}

/// Takes our handler away where it still stands. Call under the arming lock.
pub(crate) fn uninstall(handler: Handler) {
    for slot in &SLOTS {
        slot.uninstall(handler);
    }
}
