//! A system call made by a stopped thread of another process, as if it had never happened.
//!
//! The thread stands in the stop of `PTRACE_INTERRUPT`, on its way back to user mode. Its registers
//! are pointed at a `syscall` instruction of its own address space, it runs from there to the end of
//! the call, is stopped again *in the same kind of stop*, and gets its registers back. That matters:
//! only there does the kernel look at `orig_rax` and `-ERESTART…`, so that a call which our
//! interruption broke off (`poll`, `futex`, `nanosleep`) is restarted as after any other stop
//! (arch/x86/kernel/signal.c, `arch_do_signal_or_restart`). Set at the exit of our own call, the
//! registers would be taken as they are, and the program would see `-512`. `orig_rax` is -1 while
//! our call is begun, so that nothing is restarted at our instruction.
//!
//! All signals are blocked meanwhile: none is delivered on our instruction.

use std::io;
use std::time::{Duration, Instant};

use super::sys::{self, Stop};

/// `user_regs_struct.cs` of a 64-bit program.
const CODE_SEGMENT_64: u64 = 0x33;
const NO_SYSTEM_CALL: u64 = u64::MAX;
/// Stops on the way that are none of ours: group stops, signals that cannot be blocked.
const MOST_STOPS: usize = 64;
/// How long a thread may take for one step before `unblock` is called. A `fork` of a very large
/// process takes seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a call gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its value, or a negative errno.
    pub(crate) value: i64,
    /// The new process, traced and about to stop, when the call made one. As we number it.
    pub(crate) child: Option<i32>,
}

/// Where and how to call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Address of a `syscall` instruction.
    pub(crate) instruction: u64,
    pub(crate) number: libc::c_long,
    pub(crate) arguments: [u64; 5],
    /// Filters of system calls are not asked (needs `CAP_SYS_ADMIN`).
    pub(crate) is_unfiltered: bool,
}

/// Lets the stopped thread `tid` make the call; it stands as before when this returns.
///
/// Once begun, the call is waited for whatever it takes: a thread left in the middle would run on
/// with our registers. `unblock` is called when it takes long, to let go whatever it may wait for.
pub(crate) fn call(tid: i32, call: &Call, unblock: &mut dyn FnMut()) -> io::Result<Outcome> {
    let registers = sys::ptrace_registers(tid)?;
    if registers.cs != CODE_SEGMENT_64 {
        return Err(io::Error::other("it is a 32-bit program"));
    }
    let mask = sys::ptrace_signal_mask(tid)?;
    let suspend = if call.is_unfiltered { sys::OPTION_SUSPEND_SECCOMP } else { 0 };
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | suspend;
    sys::ptrace_set_options(tid, options)?;
    sys::ptrace_set_signal_mask(tid, u64::MAX)?;
    let outcome = sys::ptrace_set_registers(tid, &prepared(&registers, call))
        .and_then(|()| run_to_exit(tid, call, unblock))
        .and_then(|outcome| stop_as_before(tid, unblock).map(|()| outcome));
    // Whatever happened: nothing of ours stays.
    sys::ptrace_set_registers(tid, &registers)?;
    sys::ptrace_set_signal_mask(tid, mask)?;
    sys::ptrace_set_options(tid, 0)?;
    outcome
}

fn prepared(registers: &libc::user_regs_struct, call: &Call) -> libc::user_regs_struct {
    let [rdi, rsi, rdx, r10, r8] = call.arguments;
    libc::user_regs_struct {
        rip: call.instruction,
        rax: u64::try_from(call.number).unwrap_or(NO_SYSTEM_CALL),
        orig_rax: NO_SYSTEM_CALL,
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        ..*registers
    }
}

/// From the first instruction to the stop at the end of the call.
fn run_to_exit(tid: i32, call: &Call, unblock: &mut dyn FnMut()) -> io::Result<Outcome> {
    let mut child = None;
    let mut is_inside = false;
    let mut signal = 0;
    for _ in 0..MOST_STOPS {
        sys::ptrace_go_to_system_call(tid, signal)?;
        signal = 0;
        match wait(tid, unblock)? {
            Stop::SystemCall if is_inside => {
                let value = sys::ptrace_registers(tid)?.rax.cast_signed();
                return Ok(Outcome { value, child });
            }
            Stop::SystemCall => {
                let number = sys::ptrace_registers(tid)?.orig_rax;
                if i64::try_from(number).ok() != Some(call.number) {
                    return Err(io::Error::other("it made another system call"));
                }
                is_inside = true;
            }
            Stop::Event(libc::PTRACE_EVENT_CLONE) => child = Some(sys::ptrace_event_message(tid)?),
            Stop::Event(_) => {}
            Stop::Signal(other) => signal = other,
        }
    }
    Err(io::Error::other("it stopped again and again"))
}

/// Into the stop where registers may be put back.
fn stop_as_before(tid: i32, unblock: &mut dyn FnMut()) -> io::Result<()> {
    sys::ptrace_interrupt(tid)?;
    let mut signal = 0;
    for _ in 0..MOST_STOPS {
        sys::ptrace_continue(tid, signal)?;
        signal = match wait(tid, unblock)? {
            Stop::Event(libc::PTRACE_EVENT_STOP) => return Ok(()),
            Stop::Signal(other) => other,
            Stop::Event(_) | Stop::SystemCall => 0,
        };
    }
    Err(io::Error::other("it could not be stopped again"))
}

fn wait(tid: i32, unblock: &mut dyn FnMut()) -> io::Result<Stop> {
    match sys::wait_stop(tid, Instant::now().checked_add(PATIENCE)) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            unblock();
            sys::wait_stop(tid, None)
        }
        other => other,
    }
}
