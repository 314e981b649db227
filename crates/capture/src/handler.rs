//! The signal handler.
//!
//! Runs in a process whose heap, locks and stack may be broken. Allowed here, and in what is
//! called from here, is only: atomics; memory prepared by `arm`; the stack; and these calls,
//! all listed in signal-safety(7) or plain system calls: getpid, gettid, clock_gettime,
//! nanosleep, fstat, close, fcntl, socketpair, send, sendmsg, recv, poll, write, prctl,
//! memfd_create, sigaction, pthread_sigmask, pthread_setcancelstate (safe since POSIX.1-2024; it
//! changes one word of the thread), waitpid, clone, setsid, open, dup2, execveat, execve, _exit,
//! rt_tgsigqueueinfo, rt_sigtimedwait, tgkill, getsid, kill, arch_prctl. Not allowed: allocation,
//! locks, formatting, `std::io`, thread locals with destructors, any Python function, panics. What a
//! handler that was there before does (`chain.rs`) is its own affair; nothing of ours is held then.
//! A preloaded library proves it (`tests/integration/test_handler_calls.py`).
//!
//! The first fatal signal wins; other threads that crash meanwhile wait. Nothing waits longer
//! than the budget: a monitor that is not done by then is killed, because the kernel holds back
//! the end of a process whose threads are traced.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use libc::{c_int, c_void};

use crate::chain::{self, Verdict};
use crate::conversation::{Exchange, Talk};
use crate::protocol::{Answer, CRASH_MAGIC, CrashRequest, GENERAL_REGISTERS, VERSION};
use crate::spawn::Plan;
use crate::sys::Held;
use crate::{context, life, on_demand, signals, sys};

/// What `arm` prepared for the handler.
pub(crate) struct Armed {
    /// Whether crashes are to be reported. A handler that somebody else chained may be called
    /// after `disarm`; it only hands on then.
    pub(crate) is_armed: AtomicBool,
    /// The process that armed; a forked child differs and starts its own monitor.
    pub(crate) pid: AtomicI32,
    pub(crate) monitor_pid: AtomicI32,
    pub(crate) budget_ms: AtomicU32,
    pub(crate) is_quiet: AtomicBool,
    pub(crate) plan: AtomicPtr<Plan>,
    /// Where the shared area is mapped.
    pub(crate) area: AtomicPtr<u8>,
    /// The socket to the monitor; replaced ones are never freed.
    socket: AtomicPtr<Held>,
}

pub(crate) static ARMED: Armed = Armed {
    is_armed: AtomicBool::new(false),
    pid: AtomicI32::new(0),
    monitor_pid: AtomicI32::new(0),
    budget_ms: AtomicU32::new(10_000),
    is_quiet: AtomicBool::new(false),
    plan: AtomicPtr::new(std::ptr::null_mut()),
    area: AtomicPtr::new(std::ptr::null_mut()),
    socket: AtomicPtr::new(std::ptr::null_mut()),
};

impl Armed {
    /// The socket, if its number still means it.
    pub(crate) fn socket(&self) -> Option<c_int> {
        // SAFETY: null, or a `Held` that is never freed.
        unsafe { self.socket.load(Ordering::Acquire).as_ref() }?.get()
    }

    /// Replaces the socket. Allocates: not for the handler.
    pub(crate) fn set_socket(&self, fd: Option<c_int>) {
        let held = fd.map(|fd| Box::into_raw(Box::new(Held::new(fd))));
        self.socket.store(held.unwrap_or(std::ptr::null_mut()), Ordering::Release);
    }
}

/// The thread whose crash is being reported: process id, thread id; 0 = none. An owner of another
/// process is one that a fork has copied without its thread.
static OWNER: AtomicU64 = AtomicU64::new(0);

fn owner_of(pid: c_int, tid: c_int) -> u64 {
    let half = |id: c_int| u64::from(id.cast_unsigned());
    (half(pid) << 32) | half(tid)
}

fn is_stale(owner: u64) -> bool {
    owner >> 32 != u64::from(sys::getpid().cast_unsigned())
}

/// Whether a crash of this process is being reported.
pub(crate) fn is_reporting() -> bool {
    let owner = OWNER.load(Ordering::Acquire);
    owner != 0 && !is_stale(owner)
}

/// Makes `own` the owner, unless another thread of this process is; `Err` tells which.
fn claim(own: u64) -> Result<(), u64> {
    let claimed = OWNER.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire);
    match claimed {
        Err(stale) if is_stale(stale) => {
            OWNER.compare_exchange(stale, own, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

/// Installed for every fatal signal.
///
/// # Safety
/// Called by the kernel, with the arguments of an `SA_SIGINFO` handler.
pub(crate) unsafe extern "C" fn on_fatal_signal(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    context::allow_misaligned();
    let errno = sys::errno();
    // SAFETY: the kernel gives a valid siginfo.
    let code = unsafe { (*info).si_code };
    if code <= 0 && signals::was_ignored(signal) {
        return;
    }
    // SAFETY: the arguments are the kernel's, and nothing is held yet.
    let next = match unsafe { ask_previous(signal, info, context) } {
        Verdict::Repaired => return,
        Verdict::GaveUp(action) => Some(action),
        Verdict::NotAsked => None,
    };
    // Most calls made here are cancellation points: a thread that somebody wants to cancel would
    // end in the middle of its report.
    let cancel_state = sys::set_cancel_state(sys::CANCEL_DISABLE);
    let tid = sys::gettid();
    let own = owner_of(sys::getpid(), tid);
    match claim(own) {
        Ok(()) => {
            if ARMED.is_armed.load(Ordering::Acquire) {
                // SAFETY: the arguments are the kernel's.
                unsafe { report(tid, info, context) };
            }
            make_way(signal, next.as_ref());
        }
        Err(owner) if owner == own && code <= 0 => {
            // Somebody sent a signal while the report is being made: the first one wins.
            sys::set_cancel_state(cancel_state);
            sys::set_errno(errno);
            return;
        }
        Err(owner) if owner == own => {
            say(b"lastwords: the signal handler itself crashed; no report could be finished\n");
            signals::restore_default(signal);
        }
        Err(_) => {
            wait_for_owner();
            make_way(signal, next.as_ref());
        }
    }
    // SAFETY: `info` is the kernel's.
    unsafe { hand_on(signal, info, tid) };
    OWNER.compare_exchange(own, 0, Ordering::AcqRel, Ordering::Acquire).ok();
    sys::set_cancel_state(cancel_state);
    sys::set_errno(errno);
}

/// # Safety
/// The pointers are the handler's arguments.
unsafe fn ask_previous(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) -> Verdict {
    // A fault inside of the report is never on purpose, and the process is dying of the first one.
    if !ARMED.is_armed.load(Ordering::Acquire) || is_reporting() {
        return Verdict::NotAsked;
    }
    // SAFETY: as promised by the caller.
    unsafe { chain::ask(signal, info, context, on_fatal_signal) }
}

/// Puts the action there that comes after us: the one that the previous handler chose, or its own.
fn make_way(signal: c_int, next: Option<&libc::sigaction>) {
    match next {
        Some(action) => signals::set(signal, action),
        None => signals::restore_previous(signal),
    }
}

/// Queues the same signal again, for the moment when this handler has returned to the faulting
/// instruction: the next handler, or the kernel's default action, then sees the original
/// siginfo and the original registers.
///
/// # Safety
/// `info` is the handler's argument.
unsafe fn hand_on(signal: c_int, info: *mut libc::siginfo_t, tid: c_int) {
    // SAFETY: the set is local and valid; the kernel allows a process to queue any siginfo to
    // itself (rt_sigqueueinfo(2)).
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        let queued = libc::syscall(libc::SYS_rt_tgsigqueueinfo, sys::getpid(), tid, signal, info);
        if queued != 0 && (*info).si_code <= 0 {
            libc::syscall(libc::SYS_tgkill, sys::getpid(), tid, signal);
        }
    }
}

fn budget_ns() -> u64 {
    u64::from(ARMED.budget_ms.load(Ordering::Relaxed)).saturating_mul(1_000_000)
}

fn wait_for_owner() {
    let deadline = sys::clock_ns(libc::CLOCK_MONOTONIC)
        .saturating_add(budget_ns())
        .saturating_add(1_000_000_000);
    while is_reporting() && sys::clock_ns(libc::CLOCK_MONOTONIC) < deadline {
        sys::sleep_ms(5);
    }
}

fn say(line: &[u8]) {
    if !ARMED.is_quiet.load(Ordering::Relaxed) {
        sys::write_stderr(line);
    }
}

/// Monitors started for one crash: whoever ends them (the OOM killer, a person) may do it twice.
const NEW_MONITORS: usize = 2;

/// # Safety
/// The pointers are the handler's arguments.
unsafe fn report(tid: c_int, info: *const libc::siginfo_t, context: *const c_void) {
    life::note_crash();
    // SAFETY: as promised by the caller.
    let request = unsafe { new_request(tid, info, context) };
    on_demand::let_finish();
    let deadline = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_add(budget_ns());
    let talk = Talk { request: &request, order: None, deadline, monitor: None };
    let mut hear = |answer: Answer<'_>| {
        if let Answer::Done(line) = answer {
            say(line);
        }
    };
    let mut outcome = Exchange::MonitorGone;
    let is_own = request.pid == ARMED.pid.load(Ordering::Acquire);
    if let Some(socket) = ARMED.socket().filter(|_| is_own) {
        outcome = talk.with(socket, ARMED.monitor_pid.load(Ordering::Relaxed), &mut hear);
    }
    for _ in 0..NEW_MONITORS {
        if outcome != Exchange::MonitorGone || talk.left_ms() == 0 {
            break;
        }
        // SAFETY: null, or a plan, which is never freed.
        let plan = unsafe { ARMED.plan.load(Ordering::Acquire).as_ref() };
        let area = ARMED.area.load(Ordering::Acquire);
        outcome = plan.map_or(outcome, |plan| talk.with_new_monitor(plan, area, &mut hear));
    }
    match outcome {
        Exchange::Done => {}
        Exchange::MonitorGone => {
            say(b"lastwords: no report: the monitor could not be started, or ended early\n");
        }
        Exchange::TimeOut => {
            say(b"lastwords: the report was not finished within the budget (setting budget_s)\n")
        }
    }
}

/// # Safety
/// The pointers are the handler's arguments.
unsafe fn new_request(
    tid: c_int,
    info: *const libc::siginfo_t,
    context: *const c_void,
) -> CrashRequest {
    let mut request = CrashRequest {
        magic: CRASH_MAGIC,
        version: VERSION,
        pid: sys::getpid(),
        tid,
        time_ns: sys::clock_ns(libc::CLOCK_REALTIME),
        // SAFETY: a siginfo is 128 bytes (Linux, SI_MAX_SIZE).
        siginfo: unsafe { info.cast::<[u8; 128]>().read_unaligned() },
        general: [0; GENERAL_REGISTERS],
        has_fxsave: 0,
        budget_ms: ARMED.budget_ms.load(Ordering::Relaxed),
        fxsave: [0; 512],
        fs_base: context::fs_base(),
        restorer: 0,
    };
    // SAFETY: as promised by the caller.
    unsafe { context::copy_registers(&mut request, context) };
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_a_fork_left_behind_does_not_block_a_report() {
        let own = owner_of(sys::getpid(), 5);
        OWNER.store(owner_of(sys::getpid().wrapping_add(1), 7), Ordering::Release);
        assert!(!is_reporting());
        assert_eq!(claim(own), Ok(()));
        assert!(is_reporting());
        assert_eq!(claim(owner_of(sys::getpid(), 6)), Err(own), "another thread waits");
        OWNER.store(0, Ordering::Release);
        assert_eq!(claim(own), Ok(()));
        OWNER.store(0, Ordering::Release);
    }
}
