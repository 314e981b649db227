//! The signal handler.
//!
//! Runs in a process whose heap, locks and stack may be broken. Allowed here, and in what is
//! called from here, is only: atomics; memory prepared by `arm`; the stack; and these calls,
//! all listed in signal-safety(7) or plain system calls: getpid, gettid, clock_gettime,
//! nanosleep, fstat, close, fcntl, socketpair, send, sendmsg, recv, poll, write, prctl,
//! memfd_create, sigaction, pthread_sigmask, pthread_setcancelstate (safe since POSIX.1-2024; it
//! changes one word of the thread), waitpid, clone, setsid, open, dup2, execveat, execve, _exit,
//! rt_tgsigqueueinfo, tgkill, getsid, kill, arch_prctl. Not allowed: allocation, locks, formatting,
//! `std::io`, thread locals with destructors, any Python function, panics.
//!
//! The first fatal signal wins; other threads that crash meanwhile wait. Nothing waits longer
//! than the budget: a monitor that is not done by then is killed, because the kernel holds back
//! the end of a process whose threads are traced.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use libc::{c_int, c_void};

use crate::protocol::{
    ANSWER_SIZE, Answer, CRASH_MAGIC, CrashRequest, GENERAL_REGISTERS, READ_HEADER_SIZE, VERSION,
};
use crate::spawn::{self, Plan};
use crate::sys::Held;
use crate::{context, shared, signals, sys};

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
    let errno = sys::errno();
    // SAFETY: the kernel gives a valid siginfo.
    let code = unsafe { (*info).si_code };
    if code <= 0 && signals::was_ignored(signal) {
        return;
    }
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
            signals::restore_previous(signal);
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
            signals::restore_previous(signal);
        }
    }
    // SAFETY: `info` is the kernel's.
    unsafe { hand_on(signal, info, tid) };
    OWNER.compare_exchange(own, 0, Ordering::AcqRel, Ordering::Acquire).ok();
    sys::set_cancel_state(cancel_state);
    sys::set_errno(errno);
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

#[derive(PartialEq, Eq)]
enum Exchange {
    Done,
    MonitorGone,
    TimeOut,
}

/// # Safety
/// The pointers are the handler's arguments.
unsafe fn report(tid: c_int, info: *const libc::siginfo_t, context: *const c_void) {
    // SAFETY: as promised by the caller.
    let request = unsafe { new_request(tid, info, context) };
    let deadline = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_add(budget_ns());
    let mut outcome = Exchange::MonitorGone;
    let is_own = request.pid == ARMED.pid.load(Ordering::Acquire);
    if let Some(socket) = ARMED.socket().filter(|_| is_own) {
        outcome = converse(socket, ARMED.monitor_pid.load(Ordering::Relaxed), &request, deadline);
    }
    if outcome == Exchange::MonitorGone && left_ms(deadline) > 0 {
        outcome = converse_with_new_monitor(&request, deadline);
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

fn converse_with_new_monitor(request: &CrashRequest, deadline: u64) -> Exchange {
    let plan = ARMED.plan.load(Ordering::Acquire);
    // SAFETY: a plan is never freed.
    let Some(plan) = (unsafe { plan.as_ref() }) else { return Exchange::MonitorGone };
    let Some((ours, theirs)) = spawn::socket_pair() else { return Exchange::MonitorGone };
    let area = ARMED.area.load(Ordering::Acquire);
    let shared = plan.shared.get().or_else(|| shared::copy_of_area(area));
    let started = shared.map_or(Err(libc::EBADF), |fd| spawn::spawn(plan, theirs, fd));
    sys::close(theirs);
    let outcome = match started {
        Ok(monitor_pid) => converse(ours, monitor_pid, request, deadline),
        Err(_) => Exchange::MonitorGone,
    };
    sys::close(ours);
    outcome
}

/// Sends the request and serves the monitor until it is done.
fn converse(socket: c_int, monitor_pid: c_int, request: &CrashRequest, deadline: u64) -> Exchange {
    let dumpable = allow_tracing(monitor_pid);
    let mut outcome = Exchange::MonitorGone;
    if sys::send(socket, request.as_bytes()) {
        outcome = serve(socket, deadline);
    }
    if outcome == Exchange::TimeOut {
        end_monitor(monitor_pid);
    }
    if dumpable == 0 {
        // SAFETY: sets one attribute of this process.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, dumpable) };
    }
    outcome
}

/// Kills a monitor that holds our threads beyond the budget. What it wrote so far is completed at
/// the next start. It is alive, because its end of the socket is open; that it leads a session,
/// as ours does, is asked all the same before a process is killed by its number.
fn end_monitor(monitor_pid: c_int) {
    // SAFETY: takes numbers only.
    unsafe {
        if monitor_pid > 1 && libc::getsid(monitor_pid) == monitor_pid {
            libc::kill(monitor_pid, libc::SIGKILL);
        }
    }
}

/// Lets the monitor trace us under Yama and in a process that is not dumpable; returns the
/// dumpable attribute to be put back. Kernels without Yama answer EINVAL, which is fine. The
/// attribute 2 (only root may see the core) stays: nobody but the kernel can put it back.
fn allow_tracing(monitor_pid: c_int) -> c_int {
    let tracer = libc::c_ulong::try_from(monitor_pid).unwrap_or(0);
    // SAFETY: reads and sets attributes of this process.
    unsafe {
        let dumpable = libc::prctl(libc::PR_GET_DUMPABLE);
        if dumpable == 0 {
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        }
        libc::prctl(libc::PR_SET_PTRACER, tracer, 0, 0, 0);
        dumpable
    }
}

fn left_ms(deadline: u64) -> u64 {
    let now = sys::clock_ns(libc::CLOCK_MONOTONIC);
    deadline.saturating_sub(now).checked_div(1_000_000).unwrap_or(0)
}

fn serve(socket: c_int, deadline: u64) -> Exchange {
    let mut buffer = [0_u8; ANSWER_SIZE];
    loop {
        let left_ms = left_ms(deadline);
        if left_ms == 0 {
            return Exchange::TimeOut;
        }
        if !sys::wait_readable(socket, i32::try_from(left_ms).unwrap_or(i32::MAX)) {
            continue;
        }
        let answer = sys::receive(socket, &mut buffer).and_then(Answer::decode);
        match answer {
            None => return Exchange::MonitorGone,
            Some(Answer::Done(line)) => {
                say(line);
                return Exchange::Done;
            }
            Some(Answer::Read { address, length }) => send_memory(socket, address, length),
        }
    }
}

/// Sends our own memory. The kernel copies it, so an address that is not mapped gives EFAULT
/// instead of another fault.
fn send_memory(socket: c_int, address: u64, length: u32) {
    let mut header = [0_u8; READ_HEADER_SIZE];
    let base = std::ptr::with_exposed_provenance_mut::<c_void>(
        usize::try_from(address).unwrap_or(usize::MAX),
    );
    let mut parts = [
        libc::iovec { iov_base: header.as_mut_ptr().cast::<c_void>(), iov_len: READ_HEADER_SIZE },
        libc::iovec { iov_base: base, iov_len: usize::try_from(length).unwrap_or(0) },
    ];
    // SAFETY: zero is a valid msghdr; the first part is ours, the second only the kernel reads,
    // checking every page.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = parts.as_mut_ptr();
        message.msg_iovlen = parts.len();
        libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
    if sent < 0 {
        if let Some(status) = header.first_chunk_mut::<4>() {
            *status = sys::errno().to_ne_bytes();
        }
        sys::send(socket, &header);
    }
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
