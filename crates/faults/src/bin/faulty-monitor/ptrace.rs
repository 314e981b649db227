//! The few requests of ptrace(2) that are needed, each with a safe face.

use std::io;

use libc::{c_long, c_void, pid_t};

/// `struct ptrace_syscall_info` (linux/ptrace.h), as far as it is used:
///
/// | offset | size | type | field | meaning |
/// |---|---|---|---|---|
/// | 0 | 1 | u8 | op | 1 = entry, 2 = exit |
/// | 24 | 8 | u64 / i64 | nr / rval | number of the call at entry; what it answered at exit |
/// | 32 | 48 | u64 x 6 | args | arguments at entry |
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct RawInfo {
    op: u8,
    before: [u8; 23],
    number_or_answer: i64,
    arguments: [u64; 6],
    after: u64,
}

/// Where a thread stopped.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// Before a system call: its number, its first argument.
    Entry(i64, u64),
    /// After it: its answer.
    Exit(i64),
    /// At something else.
    Other,
}

/// An argument that is not used. All are words: the C function takes them as variable arguments.
const NONE: usize = 0;

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Traces system calls, threads and children; the tracee dies with this process.
pub fn set_options(pid: pid_t) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_EXITKILL
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC;
    // SAFETY: writes nothing of ours.
    check(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, NONE, libc::c_long::from(options)) })
        .map(|_| ())
}

/// Lets a thread go on to its next system call, with a signal (0 = none).
pub fn resume(tid: pid_t, signal: i32) {
    // SAFETY: writes nothing of ours. A thread that is gone meanwhile is told by waitpid.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, NONE, libc::c_long::from(signal)) };
}

/// Where a thread stopped at a system call.
pub fn stop(tid: pid_t) -> Stop {
    const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    let mut info = RawInfo::default();
    // SAFETY: place and size belong together.
    let got = unsafe {
        libc::ptrace(GET_SYSCALL_INFO, tid, size_of::<RawInfo>(), (&raw mut info).cast::<c_void>())
    };
    match (got, info.op) {
        (1.., 1) => {
            Stop::Entry(info.number_or_answer, info.arguments.first().copied().unwrap_or(0))
        }
        (1.., 2) => Stop::Exit(info.number_or_answer),
        _ => Stop::Other,
    }
}

/// The registers of a stopped thread.
pub fn registers(tid: pid_t) -> io::Result<libc::user_regs_struct> {
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
    // SAFETY: the place has the size that the request fills; zeros are a valid value.
    unsafe {
        check(libc::ptrace(libc::PTRACE_GETREGS, tid, NONE, registers.as_mut_ptr()))?;
        Ok(registers.assume_init())
    }
}

/// Sets the registers of a stopped thread.
pub fn set_registers(tid: pid_t, registers: &libc::user_regs_struct) {
    // SAFETY: the registers are only read.
    unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, NONE, std::ptr::from_ref(registers)) };
}

/// A word of a stopped thread's memory.
pub fn peek(tid: pid_t, address: u64) -> u64 {
    // SAFETY: reads the other process only. The libc wrapper takes no place for the word and returns it.
    unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, tid, address, NONE) }.cast_unsigned()
}

/// Sets a word of a stopped thread's memory.
pub fn poke(tid: pid_t, address: u64, word: u64) {
    // SAFETY: writes the other process only.
    unsafe { libc::ptrace(libc::PTRACE_POKEDATA, tid, address, word) };
}
