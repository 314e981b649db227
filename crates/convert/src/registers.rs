//! Registers of a minidump's threads in the order of core files.
//!
//! x86-64, `user_regs_struct`: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs
//! eflags rsp ss fs_base gs_base ds es fs gs; floating point: 512 bytes, FXSAVE. A minidump has no
//! bases of `fs` and `gs`: they are 0 in the core.
//!
//! AArch64, `user_pt_regs`: x0 to x30, sp, pc, pstate; floating point, `user_fpsimd_state`: 32 × 16
//! bytes, fpsr, fpcr, 8 bytes.
//!
//! Source: Linux, `arch/x86/include/asm/user_64.h`, `arch/arm64/include/uapi/asm/ptrace.h`.

use lastwords_format::Writer;
use minidump::format::{CONTEXT_AMD64, CONTEXT_ARM64, CONTEXT_ARM64_OLD};
use minidump::{MinidumpContext, MinidumpRawContext};

/// Not in a system call.
const NO_SYSTEM_CALL: u64 = u64::MAX;

/// Instruction sets that cores are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    Amd64,
    Aarch64,
}

impl Machine {
    /// `e_machine`.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Aarch64 => 183,
        }
    }
}

/// General and floating-point registers, as notes hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) machine: Machine,
    pub(crate) general: Vec<u8>,
    pub(crate) floating: Vec<u8>,
}

impl Registers {
    /// `None` for other instruction sets.
    pub(crate) fn of(context: &MinidumpContext) -> Option<Self> {
        match &context.raw {
            MinidumpRawContext::Amd64(raw) => Some(amd64(raw)),
            MinidumpRawContext::Arm64(raw) => Some(aarch64(raw)),
            MinidumpRawContext::OldArm64(raw) => Some(old_aarch64(raw)),
            _ => None,
        }
    }
}

fn amd64(raw: &CONTEXT_AMD64) -> Registers {
    let mut general = Writer::new();
    let words = [
        raw.r15,
        raw.r14,
        raw.r13,
        raw.r12,
        raw.rbp,
        raw.rbx,
        raw.r11,
        raw.r10,
        raw.r9,
        raw.r8,
        raw.rax,
        raw.rcx,
        raw.rdx,
        raw.rsi,
        raw.rdi,
        NO_SYSTEM_CALL,
        raw.rip,
        raw.cs.into(),
        raw.eflags.into(),
        raw.rsp,
        raw.ss.into(),
        0,
        0,
        raw.ds.into(),
        raw.es.into(),
        raw.fs.into(),
        raw.gs.into(),
    ];
    for word in words {
        general.u64(word);
    }
    Registers {
        machine: Machine::Amd64,
        general: general.into_bytes(),
        floating: raw.float_save.to_vec(),
    }
}

fn aarch64(raw: &CONTEXT_ARM64) -> Registers {
    let general = aarch64_general(&raw.iregs, raw.sp, raw.pc, raw.cpsr);
    let floating = aarch64_floating(&raw.float_regs, raw.fpsr, raw.fpcr);
    Registers { machine: Machine::Aarch64, general, floating }
}

fn old_aarch64(raw: &CONTEXT_ARM64_OLD) -> Registers {
    let (iregs, sp, pc, cpsr) = (raw.iregs, raw.sp, raw.pc, raw.cpsr);
    let (float_regs, fpsr, fpcr) = (raw.float_regs, raw.fpsr, raw.fpcr);
    let general = aarch64_general(&iregs, sp, pc, cpsr);
    let floating = aarch64_floating(&float_regs, fpsr, fpcr);
    Registers { machine: Machine::Aarch64, general, floating }
}

fn aarch64_general(iregs: &[u64; 31], sp: u64, pc: u64, cpsr: u32) -> Vec<u8> {
    let mut general = Writer::new();
    for word in iregs {
        general.u64(*word);
    }
    general.u64(sp).u64(pc).u64(cpsr.into());
    general.into_bytes()
}

fn aarch64_floating(registers: &[u128; 32], fpsr: u32, fpcr: u32) -> Vec<u8> {
    let mut floating = Writer::new();
    for register in registers {
        floating.raw(&register.to_le_bytes());
    }
    floating.u32(fpsr).u32(fpcr).u64(0);
    floating.into_bytes()
}
