//! Registers of a core as contexts of a minidump.
//!
//! | processor | general registers of the core | context |
//! |---|---|---|
//! | i386, `user_regs_struct` | ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss | `CONTEXT_X86`, 716 bytes: gs 0x8c, fs, es, ds, edi 0x9c, esi, ebx, edx, ecx, eax, ebp, eip, cs, eflags, esp, ss, FXSAVE 0xcc |
//! | ARM, `user_regs` | r0 to r15, cpsr, orig_r0 | `CONTEXT_ARM`, 368 bytes: r0 at 4, cpsr, fpscr 72 (`u64`), d0 to d31, 32 bytes |
//! | AArch64, `user_pt_regs` | x0 to x30, sp, pc, pstate | `CONTEXT_ARM64`, 912 bytes: cpsr 4, x0 8, sp 0x100, pc 0x108, v0 0x110, fpcr 0x310, fpsr 0x314 |
//! | MIPS, `elf_gregset_t` | 6 words, r0 to r31, lo, hi, epc, badvaddr, status, cause | `CONTEXT_MIPS`, 600 bytes: r0 8 (`u64` each), hi 264, lo 272, epc 312, badvaddr 320, status 328, cause 332 |
//!
//! Source: Linux, `arch/*/include/uapi/asm/ptrace.h`, `arch/x86/include/asm/user_32.h`,
//! `arch/mips/include/uapi/asm/reg.h`; Breakpad, `minidump_cpu_*.h`.

use lastwords_format::Writer;
use lastwords_format::core_notes::Numbers;

use super::notes::{Thread, word};

const X86_ALL: u32 = 0x1_003f;
const ARM_ALL: u32 = 0x4000_0006;
const ARM64_ALL: u32 = 0x40_0007;
const MIPS_ALL: u32 = 0x4_0007;
const MIPS_R0: usize = 6;

/// A processor whose cores are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    I386,
    Arm,
    Aarch64,
    Mips,
}

impl Machine {
    /// 0 where it is not in the core, as `pc`.
    pub(super) fn stack_pointer(self, thread: &Thread) -> u64 {
        let index = match self {
            Self::I386 => 15,
            Self::Arm => 13,
            Self::Aarch64 => 31,
            Self::Mips => MIPS_R0 + 29,
        };
        self.register(thread, index)
    }

    pub(super) fn pc(self, thread: &Thread) -> u64 {
        let index = match self {
            Self::I386 => 12,
            Self::Arm => 15,
            Self::Aarch64 => 32,
            Self::Mips => MIPS_R0 + 34,
        };
        self.register(thread, index)
    }

    fn register(self, thread: &Thread, index: usize) -> u64 {
        Numbers::new(&thread.general, self == Self::Aarch64).nth(index).unwrap_or(0)
    }

    /// The context; registers that the core does not hold are 0.
    pub(super) fn context(self, thread: &Thread) -> Vec<u8> {
        match self {
            Self::I386 => i386(thread),
            Self::Arm => arm(thread),
            Self::Aarch64 => aarch64(thread),
            Self::Mips => mips(thread),
        }
    }
}

fn general(thread: &Thread, index: usize) -> u32 {
    word(&thread.general, index.saturating_mul(4)).unwrap_or(0)
}

/// As many bytes as are there, then zeros.
fn padded(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = bytes.get(..size.min(bytes.len())).unwrap_or_default().to_vec();
    bytes.resize(size, 0);
    bytes
}

fn i386(thread: &Thread) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(X86_ALL).raw(&[0; 0x88]);
    // gs fs es ds, edi esi ebx edx ecx eax, ebp eip cs eflags esp ss
    for index in [10, 9, 8, 7, 4, 3, 0, 2, 1, 6, 5, 12, 13, 14, 15, 16] {
        out.u32(general(thread, index));
    }
    out.raw(&padded(&thread.floating, 512));
    out.into_bytes()
}

fn arm(thread: &Thread) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(ARM_ALL);
    for index in 0..17 {
        out.u32(general(thread, index));
    }
    out.u64(word(&thread.floating, 256).unwrap_or(0).into());
    out.raw(&padded(&thread.floating, 256)).raw(&[0; 32]);
    out.into_bytes()
}

fn aarch64(thread: &Thread) -> Vec<u8> {
    let mut numbers = Numbers::new(&thread.general, true).chain(std::iter::repeat(0));
    let registers: Vec<u64> = numbers.by_ref().take(33).collect();
    let pstate = numbers.next().unwrap_or(0);
    let mut out = Writer::new();
    out.u32(ARM64_ALL).u32(u32::try_from(pstate & 0xffff_ffff).unwrap_or(0));
    for value in registers {
        out.u64(value);
    }
    out.raw(&padded(&thread.floating, 512));
    let status = |at| word(&thread.floating, at).unwrap_or(0);
    out.u32(status(516)).u32(status(512)).raw(&[0; 120]);
    out.into_bytes()
}

fn mips(thread: &Thread) -> Vec<u8> {
    let at = |index: usize| u64::from(general(thread, MIPS_R0.saturating_add(index)));
    let half = |index: usize| u32::try_from(at(index)).unwrap_or(0);
    let mut out = Writer::new();
    out.u32(MIPS_ALL).u32(0);
    for index in 0..32 {
        out.u64(at(index));
    }
    out.u64(at(33)).u64(at(32)).raw(&[0; 32]);
    out.u64(at(34)).u64(at(35)).u32(half(36)).u32(half(37)).raw(&[0; 264]);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_have_the_sizes_that_readers_expect() {
        let thread = Thread::default();
        let sizes = [Machine::I386, Machine::Arm, Machine::Aarch64, Machine::Mips]
            .map(|machine| machine.context(&thread).len());
        assert_eq!(sizes, [716, 368, 912, 600]);
    }
}
