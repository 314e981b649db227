//! "Chain first": the handler that was there before ours may repair the fault.
//!
//! Runtimes fault on purpose: a JVM finds null pointers and stops threads for its garbage collector
//! that way, .NET, Mono, Julia and Go do likewise. Where one of them came before us, its handler goes
//! first, called as the kernel would have called it, with the same siginfo and registers. What
//! it does decides:
//!
//! * it does not return (`siglongjmp`): it has dealt with the fault; nothing of ours was held;
//! * it changes where the thread goes on, or returns with its place still taken by us: repaired;
//! * it puts another action in our place, as handlers do that give up (`SIG_DFL`, the action before
//!   them): a crash. It is reported, and the signal goes on to the action it chose.
//!
//! While it runs, its signal is blocked, as the kernel does it: a handler that gives up and raises the
//! signal again does not end the process before the report. The price: the kernel ends a process
//! whose previous handler itself faults with the same signal at once, as it did without us.
//!
//! A fault on an alternate stack happened inside a handler and is nobody's on purpose: not chained.
//! Async-signal-safe.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_void};

use crate::options::ChainFirst;
use crate::signals::Handler;
use crate::{context, runtimes, signals};

/// Whether the previous handlers go first; decided by `arm`, because a runtime that comes after us
/// has its handler before ours anyway.
static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// Call under the arming lock.
pub(crate) fn choose(choice: ChainFirst) {
    let is_wanted = match choice {
        ChainFirst::Auto => runtimes::has_faulting_runtime(),
        ChainFirst::Always => true,
        ChainFirst::Never => false,
    };
    IS_WANTED.store(is_wanted, Ordering::Release);
}

/// What the previous handler made of a fault.
pub(crate) enum Verdict {
    /// There is none, or it is not to be asked.
    NotAsked,
    /// The thread goes on.
    Repaired,
    /// It gave up, and wants this action next.
    GaveUp(libc::sigaction),
}

/// Asks the previous handler, which may never return.
///
/// # Safety
/// The pointers are the arguments of our handler `ours`, which holds nothing.
pub(crate) unsafe fn ask(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
    ours: Handler,
) -> Verdict {
    // SAFETY: the kernel gives a valid siginfo and context.
    let is_asked = IS_WANTED.load(Ordering::Acquire)
        && unsafe { (*info).si_code > 0 && !context::was_on_alternate_stack(context) };
    let Some(previous) = signals::previous(signal).filter(|_| is_asked) else {
        return Verdict::NotAsked;
    };
    // SAFETY: the pointer is valid for ever, see `signals::previous`.
    let previous = unsafe { &*previous };
    if matches!(previous.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
        return Verdict::NotAsked;
    }
    // SAFETY: as above.
    unsafe {
        let before = context::position(context);
        let mask = call(previous, signal, info, context);
        let is_moved = context::position(context) != before;
        let verdict = judge(signal, previous, ours, is_moved);
        if let Verdict::GaveUp(_) = verdict {
            drop_pending(signal);
            signals::take_again(signal, ours);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
        }
        verdict
    }
}

/// Calls a handler as the kernel would, and leaves its signal blocked; gives the mask before.
///
/// # Safety
/// `action` holds a handler; the pointers are the kernel's.
unsafe fn call(
    action: &libc::sigaction,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) -> libc::sigset_t {
    let address = action.sa_sigaction;
    if action.sa_flags & libc::SA_RESETHAND != 0 {
        signals::consume_previous(signal);
    }
    // SAFETY: the masks are local; the handler is called with the signature that its flags tell.
    unsafe {
        let mut mask = action.sa_mask;
        libc::sigaddset(&raw mut mask, signal);
        context::add_interrupted_mask(context, &mut mask);
        let mut ours: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, &raw mut ours);
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            std::mem::transmute::<usize, Handler>(address)(signal, info, context);
        } else {
            std::mem::transmute::<usize, extern "C" fn(c_int)>(address)(signal);
        }
        ours
    }
}

/// Forgets the signal that a handler raised again when it gave up: the one that is reported is
/// handed on instead, with its own siginfo.
fn drop_pending(signal: c_int) {
    // SAFETY: the set and the time are local; the kernel's set has 8 bytes.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let no_info = std::ptr::null_mut::<libc::siginfo_t>();
        libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, no_info, &raw const no_time, 8);
    }
}

fn judge(signal: c_int, previous: &libc::sigaction, ours: Handler, is_moved: bool) -> Verdict {
    let now = signals::current(signal);
    if now.sa_sigaction == ours as usize {
        return Verdict::Repaired;
    }
    if now.sa_sigaction == previous.sa_sigaction {
        // A one-shot handler that installed itself again, in our place.
        signals::take_again(signal, ours);
        return Verdict::Repaired;
    }
    if is_moved { Verdict::Repaired } else { Verdict::GaveUp(now) }
}
