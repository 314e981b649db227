//! Machine code to text, as a debugger's user reads it.
//!
//! Owns: decoding one instruction after the other, MASM-like text for x86 and x86-64 (iced-x86),
//! the architecture's own text for ARM64 (yaxpeax-arm), ARM, Thumb and MIPS (Capstone), and where an instruction jumps or what
//! memory it names; and what one instruction does ([`effects`]). Does not own: names of addresses,
//! values of registers.
//!
//! An address in the text that the reader wants to see named is written as [`TARGET_MARK`]; its
//! value is [`Instruction::target`].
#![forbid(unsafe_code)]

mod arm32;
mod arm32_effects;
mod arm64;
mod arm64_effects;
mod effects;
mod engine;
mod mips;
mod x86;
mod x86_effects;

use serde::Serialize;

pub use effects::{Access, Direction, Effects, Extend, Flow, Kind, Place};

/// Stands in [`Instruction::operands`] for [`Instruction::target`].
pub const TARGET_MARK: char = '\u{1}';

/// Instructions of one call: a screen is 8, the longest functions some 10,000.
pub const MAX_INSTRUCTIONS: usize = 65_536;

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 32-bit x86.
    X86,
    /// x86-64.
    X86_64,
    /// 32-bit ARM.
    Arm,
    /// Thumb: 32-bit ARM in instructions of two and four bytes.
    Thumb,
    /// ARM64.
    Arm64,
    /// MIPS of 32 bits.
    Mips {
        /// Whether the first byte of a word is its most significant one.
        is_big_endian: bool,
    },
}

/// Memory that an instruction reads or writes: `base + index * scale + displacement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryOperand {
    /// `ds`, `ss`, `gs`, …
    pub segment: String,
    /// Lower-case register name; `None` where there is none.
    pub base: Option<String>,
    /// Lower-case register name; `None` where there is none.
    pub index: Option<String>,
    /// 1, 2, 4 or 8.
    pub scale: u32,
    /// Added with wrap-around in the address size.
    pub displacement: u64,
    /// Bytes read or written; 0 where the instruction only takes the address.
    pub size_bytes: u32,
}

/// One decoded instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// Address of its first byte.
    pub address: u64,
    /// Its bytes, as lower-case hexadecimal digits.
    pub bytes: String,
    /// Number of its bytes.
    pub len: usize,
    /// `mov`; `???` for bytes that are no instruction.
    pub mnemonic: String,
    /// Operands, with [`TARGET_MARK`] for the target.
    pub operands: String,
    /// Where it jumps, or the fixed address that it names.
    pub target: Option<u64>,
    /// The first operand in memory.
    pub memory: Option<MemoryOperand>,
    /// Whether the code never goes on behind it: `ret`, `jmp`.
    pub is_end: bool,
}

/// Decodes at most `max` instructions of `code`, which starts at `address`.
///
/// Bytes that are no instruction become `???` of one byte (x86), two (a short one of Thumb) or four (ARM, MIPS). An instruction
/// that the end of `code` cuts off is left out.
#[must_use]
pub fn disassemble(machine: Machine, address: u64, code: &[u8], max: usize) -> Vec<Instruction> {
    let max = max.min(MAX_INSTRUCTIONS);
    match machine {
        Machine::X86 => x86::disassemble(32, address, code, max),
        Machine::X86_64 => x86::disassemble(64, address, code, max),
        Machine::Arm | Machine::Thumb => arm32::disassemble(machine, address, code, max),
        Machine::Mips { .. } => mips::disassemble(machine, address, code, max),
        Machine::Arm64 => arm64::disassemble(address, code, max),
    }
}

/// Tells what the instruction at the start of `code` does; `None` when it is none, or cut off.
#[must_use]
pub fn effects(machine: Machine, address: u64, code: &[u8]) -> Option<Effects> {
    match machine {
        Machine::X86 => x86_effects::effects(32, address, code),
        Machine::X86_64 => x86_effects::effects(64, address, code),
        Machine::Arm | Machine::Thumb => arm32_effects::effects(machine, address, code),
        Machine::Mips { .. } => mips::effects(machine, address, code),
        Machine::Arm64 => arm64_effects::effects(address, code),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unknown(address: u64, bytes: &[u8]) -> Instruction {
    Instruction {
        address,
        bytes: hex(bytes),
        len: bytes.len(),
        mnemonic: "???".to_owned(),
        operands: String::new(),
        target: None,
        memory: None,
        is_end: false,
    }
}
