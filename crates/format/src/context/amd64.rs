//! `CONTEXT` of x86-64, 1,232 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 48 | u64[6] | P1Home… | unused, 0 |
//! | 48 | 4 | u32 | ContextFlags | 0x10000F: control, integer, segments, floating point |
//! | 52 | 4 | u32 | MxCsr | SSE control and status |
//! | 56 | 12 | u16[6] | SegCs, Ds, Es, Fs, Gs, Ss | segment selectors |
//! | 68 | 4 | u32 | EFlags | |
//! | 72 | 48 | u64[6] | Dr0-3, 6, 7 | debug registers, 0: not read |
//! | 120 | 128 | u64[16] | Rax Rcx Rdx Rbx Rsp Rbp Rsi Rdi R8-R15 | |
//! | 248 | 8 | u64 | Rip | |
//! | 256 | 512 | bytes | FltSave | FXSAVE area |
//! | 768 | 464 | bytes | vector, debug control | 0 |
//!
//! Source: `winnt.h`, `CONTEXT`; the FXSAVE area: Intel SDM volume 1, 10.5.1.

use crate::Writer;

/// Bytes of an encoded context.
pub const CONTEXT_SIZE: usize = 1232;
/// Bytes of an FXSAVE area.
pub const FXSAVE_SIZE: usize = 512;
const CONTEXT_FLAGS: u32 = 0x0010_000F;
const MXCSR_OFFSET: usize = 24;

/// The registers of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // Register names speak for themselves.
pub struct Registers {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub eflags: u32,
    pub cs: u16,
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
    pub ss: u16,
    /// Base of the thread's TLS block, which on Linux is `pthread_self()`; not part of `CONTEXT`.
    pub fs_base: u64,
    /// FXSAVE area; zeros when it could not be read.
    pub fxsave: [u8; FXSAVE_SIZE],
}

impl Default for Registers {
    fn default() -> Self {
        Self {
            rax: 0,
            rcx: 0,
            rdx: 0,
            rbx: 0,
            rsp: 0,
            rbp: 0,
            rsi: 0,
            rdi: 0,
            r8: 0,
            r9: 0,
            r10: 0,
            r11: 0,
            r12: 0,
            r13: 0,
            r14: 0,
            r15: 0,
            rip: 0,
            eflags: 0,
            cs: 0,
            ds: 0,
            es: 0,
            fs: 0,
            gs: 0,
            ss: 0,
            fs_base: 0,
            fxsave: [0; FXSAVE_SIZE],
        }
    }
}

impl Registers {
    /// General registers in the order of `CONTEXT`, without `rip`.
    #[must_use]
    pub fn general(&self) -> [u64; 16] {
        [
            self.rax, self.rcx, self.rdx, self.rbx, self.rsp, self.rbp, self.rsi, self.rdi,
            self.r8, self.r9, self.r10, self.r11, self.r12, self.r13, self.r14, self.r15,
        ]
    }

    fn mxcsr(&self) -> u32 {
        let bytes = self.fxsave.get(MXCSR_OFFSET..).and_then(|tail| tail.first_chunk::<4>());
        bytes.map_or(0, |four| u32::from_le_bytes(*four))
    }

    /// Encodes the context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.raw(&[0; 48]).u32(CONTEXT_FLAGS).u32(self.mxcsr());
        for selector in [self.cs, self.ds, self.es, self.fs, self.gs, self.ss] {
            out.u16(selector);
        }
        out.u32(self.eflags).raw(&[0; 48]);
        for register in self.general() {
            out.u64(register);
        }
        out.u64(self.rip).raw(&self.fxsave).raw(&[0; 464]);
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_at_the_specified_offsets() {
        let mut registers =
            Registers { rax: 1, rip: 0x4242, rsp: 0x77, eflags: 5, ..Default::default() };
        registers.fxsave[MXCSR_OFFSET] = 0x80;
        let bytes = registers.encode();
        assert_eq!(bytes.len(), CONTEXT_SIZE);
        assert_eq!(bytes[48..52], CONTEXT_FLAGS.to_le_bytes());
        assert_eq!(bytes[52], 0x80);
        assert_eq!(bytes[68], 5);
        assert_eq!(bytes[120], 1);
        assert_eq!(bytes[152], 0x77);
        assert_eq!(bytes[248..250], [0x42, 0x42]);
    }
}
