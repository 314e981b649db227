//! What a thread of the observed process says to a monitor: a crash, or a dump on demand. It sends
//! its request, and serves the process's memory until the monitor is done.
//!
//! Runs in the signal handler, under the rules at the top of `handler.rs`.

use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_int, c_void};

use crate::protocol::{ANSWER_SIZE, Answer, CrashRequest, READ_HEADER_SIZE};
use crate::spawn::{self, Plan};
use crate::{shared, sys};

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    Done,
    MonitorGone,
    TimeOut,
}

/// What is to be said, and until when.
pub(crate) struct Talk<'a> {
    pub(crate) request: &'a CrashRequest,
    /// What to dump on demand (JSON); `None` for a crash.
    pub(crate) order: Option<&'a [u8]>,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub(crate) deadline: u64,
    /// Where the process id of a monitor started for this talk is told.
    pub(crate) monitor: Option<&'a AtomicI32>,
}

/// Hears what the monitor says of its work.
pub(crate) type Hear<'a> = &'a mut dyn FnMut(Answer<'_>);

impl Talk<'_> {
    pub(crate) fn left_ms(&self) -> u64 {
        let now = sys::clock_ns(libc::CLOCK_MONOTONIC);
        self.deadline.saturating_sub(now).checked_div(1_000_000).unwrap_or(0)
    }

    /// Starts a monitor for this one request.
    pub(crate) fn with_new_monitor(&self, plan: &Plan, area: *mut u8, hear: Hear<'_>) -> Exchange {
        let Some((ours, theirs)) = spawn::socket_pair() else { return Exchange::MonitorGone };
        let shared = plan.shared.get().or_else(|| shared::copy_of_area(area));
        let started = shared.map_or(Err(libc::EBADF), |fd| spawn::spawn(plan, theirs, fd));
        sys::close(theirs);
        let outcome = match started {
            Ok(monitor_pid) => {
                if let Some(place) = self.monitor {
                    place.store(monitor_pid, Ordering::Release);
                }
                self.with(ours, monitor_pid, hear)
            }
            Err(_) => Exchange::MonitorGone,
        };
        sys::close(ours);
        outcome
    }

    /// Sends the request and serves the monitor until it is done.
    pub(crate) fn with(&self, socket: c_int, monitor_pid: c_int, hear: Hear<'_>) -> Exchange {
        let dumpable = allow_tracing(monitor_pid);
        let mut outcome = Exchange::MonitorGone;
        let is_told = sys::send(socket, self.request.as_bytes())
            && self.order.is_none_or(|order| sys::send(socket, order));
        if is_told {
            outcome = self.serve(socket, hear);
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

    fn serve(&self, socket: c_int, hear: Hear<'_>) -> Exchange {
        let mut buffer = [0_u8; ANSWER_SIZE];
        loop {
            let left_ms = self.left_ms();
            if left_ms == 0 {
                return Exchange::TimeOut;
            }
            if !sys::wait_readable(socket, i32::try_from(left_ms).unwrap_or(i32::MAX)) {
                continue;
            }
            let answer = sys::receive(socket, &mut buffer).and_then(Answer::decode);
            match answer {
                None => return Exchange::MonitorGone,
                Some(Answer::Read { address, length }) => send_memory(socket, address, length),
                Some(done @ Answer::Done(_)) => {
                    hear(done);
                    return Exchange::Done;
                }
                Some(more @ Answer::More(_)) => hear(more),
            }
        }
    }
}

/// Kills a monitor that holds our threads beyond the budget. What it wrote so far is completed at
/// the next start. It is alive, because its end of the socket is open; that it leads a session,
/// as ours does, is asked all the same before a process is killed by its number.
pub(crate) fn end_monitor(monitor_pid: c_int) {
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
