//! A dump on demand: asked for by a healthy thread, which goes on when it is written.
//!
//! It has a monitor and a socket of its own, so that the watch for crashes goes on meanwhile. A
//! thread that crashes lets the dump come to its end first, but not for long: then it ends that
//! monitor, because a thread that one monitor traces cannot be stopped by another.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::arm::ArmError;
use crate::context;
use crate::conversation::{Exchange, Talk, end_monitor};
use crate::handler::{ARMED, is_reporting};
use crate::protocol::{Answer, CRASH_MAGIC, CrashRequest, GENERAL_REGISTERS, ORDER_SIZE, VERSION};
use crate::sys;

/// How long a crash waits for a dump on demand that is being made.
const MOST_PATIENCE_NS: u64 = 2_000_000_000;

/// The thread that has a dump made: process id and thread id; 0 = none.
static DUMPING: AtomicU64 = AtomicU64::new(0);
/// The monitor that makes it; 0 = none.
static MONITOR: AtomicI32 = AtomicI32::new(0);

/// Has a dump of this process made and gives what the monitor says of it (JSON, see
/// crates/monitor/src/order.rs). Threads that ask at the same time are served one after another.
///
/// # Errors
/// [`ArmError`] with the code `not_armed`, `order_too_long`, `capture_no_memory` or
/// `dump_not_made`.
#[inline(never)]
pub fn dump(order: &[u8], budget_ms: u32) -> Result<Vec<u8>, ArmError> {
    if order.len() > ORDER_SIZE {
        return Err(ArmError {
            code: "order_too_long",
            message: format!("what to dump takes {} bytes of text", order.len()),
            hint: "give a shorter reason, or a shorter path",
        });
    }
    let mut request = new_request(budget_ms);
    // Here, and not in a function that has returned when the stack is read.
    context::here(&mut request);
    let budget_ns = u64::from(budget_ms).saturating_mul(1_000_000);
    let deadline = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_add(budget_ns);
    let Some(_turn) = Turn::take(deadline) else {
        return Err(not_made("other threads had dumps made the whole time"));
    };
    converse(&Talk { request: &request, order: Some(order), deadline, monitor: Some(&MONITOR) })
}

fn new_request(budget_ms: u32) -> CrashRequest {
    CrashRequest {
        magic: CRASH_MAGIC,
        version: VERSION,
        pid: sys::getpid(),
        tid: sys::gettid(),
        time_ns: sys::clock_ns(libc::CLOCK_REALTIME),
        siginfo: [0; 128],
        general: [0; GENERAL_REGISTERS],
        has_fxsave: 0,
        budget_ms,
        fxsave: [0; 512],
        fs_base: context::fs_base(),
        restorer: 0,
    }
}

fn converse(talk: &Talk<'_>) -> Result<Vec<u8>, ArmError> {
    // SAFETY: null, or a plan, which is never freed.
    let plan = unsafe { ARMED.plan.load(Ordering::Acquire).as_ref() };
    let Some(plan) = plan.filter(|_| ARMED.is_armed.load(Ordering::Acquire)) else {
        return Err(ArmError {
            code: "not_armed",
            message: "nothing is armed that could make a dump".to_owned(),
            hint: "call lastwords.install() first; it says what is wrong when it cannot arm",
        });
    };
    let no_memory = || ArmError {
        code: "capture_no_memory",
        message: "no memory for starting another monitor".to_owned(),
        hint: "raise the limit of memory (ulimit -v)",
    };
    let plan = plan.with_new_stacks().ok_or_else(no_memory)?;
    let mut result = Vec::new();
    let area = ARMED.area.load(Ordering::Acquire);
    let outcome = talk.with_new_monitor(&plan, area, &mut |answer| match answer {
        Answer::Done(text) | Answer::More(text) => result.extend_from_slice(text),
        Answer::Read { .. } => {}
    });
    plan.free_stacks();
    match outcome {
        Exchange::Done => Ok(result),
        Exchange::MonitorGone => Err(not_made("the monitor could not be started, or ended early")),
        Exchange::TimeOut => Err(not_made("the monitor was not done in time")),
    }
}

fn not_made(message: &str) -> ArmError {
    ArmError {
        code: "dump_not_made",
        message: message.to_owned(),
        hint: "try again; if it was too large for the time, ask for a smaller kind of dump",
    }
}

/// The right to have a dump made; given back when dropped.
struct Turn(u64);

impl Turn {
    /// Waits until no other thread of this process has it, and no crash is being reported. One
    /// that a fork has copied without its thread does not count.
    fn take(deadline: u64) -> Option<Self> {
        let half = |id: c_int| u64::from(id.cast_unsigned());
        let own = (half(sys::getpid()) << 32) | half(sys::gettid());
        loop {
            let found = DUMPING.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire);
            let stale = found.err().filter(|owner| owner >> 32 != own >> 32);
            let is_taken = match stale {
                None => found.is_ok(),
                Some(stale) => DUMPING
                    .compare_exchange(stale, own, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok(),
            };
            // A crash comes first: it waits for nobody who came later.
            let turn = is_taken.then_some(Self(own));
            if turn.is_some() && !is_reporting() {
                return turn;
            }
            drop(turn);
            if sys::clock_ns(libc::CLOCK_MONOTONIC) >= deadline {
                return None;
            }
            sys::sleep_ms(2);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        MONITOR.store(0, Ordering::Release);
        if !is_reporting() {
            // SAFETY: takes back what the conversation allowed; sets one attribute of the process.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, 0, 0, 0, 0) };
        }
        DUMPING.compare_exchange(self.0, 0, Ordering::AcqRel, Ordering::Acquire).ok();
    }
}

/// Called in a crashing thread before its report is made: waits for a dump on demand of this
/// process, and ends its monitor when that takes long. Async-signal-safe.
pub(crate) fn let_finish() {
    let own = u64::from(sys::getpid().cast_unsigned());
    let own_thread = u64::from(sys::gettid().cast_unsigned());
    let is_others = |owner: u64| owner >> 32 == own && owner & 0xFFFF_FFFF != own_thread;
    let deadline = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_add(MOST_PATIENCE_NS);
    while is_others(DUMPING.load(Ordering::Acquire)) {
        if sys::clock_ns(libc::CLOCK_MONOTONIC) >= deadline {
            end_monitor(MONITOR.load(Ordering::Acquire));
            return;
        }
        sys::sleep_ms(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arming_the_answer_says_what_to_do() {
        let error = dump(b"{}", 1000).unwrap_err();
        assert_eq!(error.code, "not_armed");
        assert!(error.hint.contains("lastwords.install()"));
        assert_eq!(DUMPING.load(Ordering::Acquire), 0, "the turn is given back");
    }

    #[test]
    fn an_order_that_fits_no_message_is_refused() {
        assert_eq!(dump(&vec![b' '; ORDER_SIZE + 1], 1000).unwrap_err().code, "order_too_long");
    }

    #[test]
    fn the_registers_are_those_of_the_caller() {
        let mut request = new_request(0);
        let local = 0_u8;
        context::here(&mut request);
        let near =
            |address: u64, at: usize| address.abs_diff(u64::try_from(at).unwrap()) < 64 * 1024;
        let [.., stack, code, _, _, _, _, _, _] = request.general.map(i64::cast_unsigned);
        assert!(near(stack, (&raw const local).addr()), "{stack:#x}");
        let this: fn() = the_registers_are_those_of_the_caller;
        assert!(near(code, this as *const () as usize), "{code:#x}");
    }
}
