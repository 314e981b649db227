//! Registers of x86-64: from the kernel's structures to the dump's.

use lastwords_capture::protocol::{CrashRequest, GENERAL_REGISTERS};
use lastwords_format::context::amd64::Registers;
use lastwords_format::streams::exception::Access;

/// Stands for a trap's number where it is not known (0 is a division error).
const NO_TRAP: u64 = u64::MAX;
/// Trap number of a page fault, in `gregs[TRAPNO]`.
const PAGE_FAULT: u64 = 14;
/// Bits of a page fault's error code (Intel SDM volume 3, 4.7).
const ERROR_WRITE: u64 = 1 << 1;
const ERROR_FETCH: u64 = 1 << 4;

/// From `PTRACE_GETREGS` and `PTRACE_GETFPREGS`.
pub(crate) fn from_ptrace(user: &libc::user_regs_struct, fxsave: [u8; 512]) -> Registers {
    Registers {
        rax: user.rax,
        rcx: user.rcx,
        rdx: user.rdx,
        rbx: user.rbx,
        rsp: user.rsp,
        rbp: user.rbp,
        rsi: user.rsi,
        rdi: user.rdi,
        r8: user.r8,
        r9: user.r9,
        r10: user.r10,
        r11: user.r11,
        r12: user.r12,
        r13: user.r13,
        r14: user.r14,
        r15: user.r15,
        rip: user.rip,
        eflags: low_32(user.eflags),
        cs: low_16(user.cs),
        ds: low_16(user.ds),
        es: low_16(user.es),
        fs: low_16(user.fs),
        gs: low_16(user.gs),
        ss: low_16(user.ss),
        fs_base: user.fs_base,
        fxsave,
    }
}

/// From the signal frame. `gregs` order: r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
/// efl, csgsfs (four 16-bit selectors: cs, gs, fs, ss), err, trapno, oldmask, cr2
/// (`sys/ucontext.h`).
pub(crate) fn from_request(request: &CrashRequest) -> Registers {
    let [r8, r9, r10, r11, r12, r13, r14, r15, rest @ ..] = request.general.map(i64::cast_unsigned);
    let [rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags, selectors, ..] = rest;
    Registers {
        rax,
        rcx,
        rdx,
        rbx,
        rsp,
        rbp,
        rsi,
        rdi,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip,
        eflags: low_32(eflags),
        cs: low_16(selectors),
        gs: low_16(selectors >> 16),
        fs: low_16(selectors >> 32),
        ss: low_16(selectors >> 48),
        ds: 0,
        es: 0,
        fs_base: request.fs_base,
        fxsave: if request.has_fxsave == 0 { [0; 512] } else { request.fxsave },
    }
}

/// Registers of a stopped thread in the order of `gregs`. The kernel does not tell a tracer the
/// error code and the number of a trap.
pub(crate) fn general_of(user: &libc::user_regs_struct) -> [i64; GENERAL_REGISTERS] {
    let selectors =
        (user.cs & 0xFFFF) | (user.gs & 0xFFFF) << 16 | (user.fs & 0xFFFF) << 32 | user.ss << 48;
    [
        user.r8,
        user.r9,
        user.r10,
        user.r11,
        user.r12,
        user.r13,
        user.r14,
        user.r15,
        user.rdi,
        user.rsi,
        user.rbp,
        user.rbx,
        user.rdx,
        user.rax,
        user.rcx,
        user.rsp,
        user.rip,
        user.eflags,
        selectors,
        0,
        NO_TRAP,
        0,
        0,
    ]
    .map(u64::cast_signed)
}

/// The stack pointer in a request.
pub(crate) fn stack_pointer(request: &CrashRequest) -> u64 {
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, rsp, ..] = request.general;
    rsp.cast_unsigned()
}

/// What the faulting instruction did, when it was a page fault.
pub(crate) fn access(request: &CrashRequest) -> Option<Access> {
    let [.., error, trap, _, _] = request.general.map(i64::cast_unsigned);
    if trap != PAGE_FAULT || request.code() <= 0 {
        return None;
    }
    Some(match (error & ERROR_FETCH, error & ERROR_WRITE) {
        (0, 0) => Access::Read,
        (0, _) => Access::Write,
        _ => Access::Execute,
    })
}

fn low_32(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or(0)
}

fn low_16(value: u64) -> u16 {
    u16::try_from(value & 0xFFFF).unwrap_or(0)
}
