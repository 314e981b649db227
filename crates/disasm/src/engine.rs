//! Capstone, for the instruction sets that no Rust crate knows in full: ARM, Thumb, MIPS.

use capstone::arch::{arm, mips};
use capstone::{Capstone, Endian, Insn, InsnDetail, prelude::*};

use crate::{Instruction, Machine, TARGET_MARK, hex, unknown};

/// One decoded instruction with its operands.
pub(crate) struct Decoded<'a> {
    pub(crate) capstone: &'a Capstone,
    pub(crate) insn: &'a Insn<'a>,
    pub(crate) detail: InsnDetail<'a>,
}

impl Decoded<'_> {
    /// Its name without conditions and sizes: `ldr` of `ldreq.w`.
    pub(crate) fn base_name(&self) -> String {
        self.capstone.insn_name(self.insn.id()).unwrap_or_default()
    }

    /// `ldreq.w r0, [r1]`.
    pub(crate) fn text(&self) -> String {
        let text = format!("{} {}", self.mnemonic(), self.operands());
        text.trim_end().to_owned()
    }

    pub(crate) fn mnemonic(&self) -> &str {
        self.insn.mnemonic().unwrap_or_default()
    }

    pub(crate) fn operands(&self) -> &str {
        self.insn.op_str().unwrap_or_default()
    }

    pub(crate) fn register_name(&self, register: RegId) -> Option<String> {
        (register.0 != 0).then(|| self.capstone.reg_name(register)).flatten()
    }
}

/// What is added to the text of an instruction.
pub(crate) struct Targets {
    /// Where it jumps, or the fixed address that it names.
    pub(crate) target: Option<u64>,
    /// Its operands, with [`TARGET_MARK`].
    pub(crate) operands: String,
    /// Whether the code never goes on behind it.
    pub(crate) is_end: bool,
}

fn capstone(machine: Machine) -> Option<Capstone> {
    let built = match machine {
        Machine::Arm => Capstone::new().arm().mode(arm::ArchMode::Arm).detail(true).build(),
        Machine::Thumb => Capstone::new().arm().mode(arm::ArchMode::Thumb).detail(true).build(),
        Machine::Mips { is_big_endian } => {
            let endian = if is_big_endian { Endian::Big } else { Endian::Little };
            let mode = mips::ArchMode::Mips32;
            Capstone::new().mips().mode(mode).endian(endian).detail(true).build()
        }
        Machine::X86 | Machine::X86_64 | Machine::Arm64 => return None,
    };
    built.ok()
}

/// The bytes of the first instruction, if it is one: Thumb has some of two bytes
/// (ARM ARM, DDI 0406C, A6.1: the first five bits tell).
fn first(machine: Machine, code: &[u8]) -> Option<&[u8]> {
    let is_short = machine == Machine::Thumb && code.get(1)? >> 3 < 0b11101;
    code.get(..if is_short { 2 } else { 4 })
}

/// Decodes at most `max` instructions of `code` at `address`.
pub(crate) fn disassemble(
    machine: Machine,
    address: u64,
    code: &[u8],
    max: usize,
    targets: impl Fn(&Decoded<'_>) -> Targets,
) -> Vec<Instruction> {
    let Some(capstone) = capstone(machine) else { return Vec::new() };
    let Ok(mut decoder) = capstone.disasm_iter(&[], address) else { return Vec::new() };
    let (mut here, mut rest) = (address, code);
    let mut instructions = Vec::new();
    while instructions.len() < max {
        let Some(bytes) = first(machine, rest) else { break };
        decoder.reset(bytes, here);
        let text = as_number(machine, bytes);
        let decoded = decoder.next().and_then(|insn| {
            let detail = capstone.insn_detail(&insn).ok()?;
            let decoded = Decoded { capstone: &capstone, insn: &insn, detail };
            let Targets { target, operands, is_end } = targets(&decoded);
            let mnemonic = decoded.mnemonic().to_owned();
            let (bytes, len) = (text.clone(), bytes.len());
            Some(Instruction {
                address: here,
                bytes,
                len,
                mnemonic,
                operands,
                target,
                memory: None,
                is_end,
            })
        });
        instructions
            .push(decoded.unwrap_or_else(|| Instruction { bytes: text, ..unknown(here, bytes) }));
        here = here.wrapping_add(bytes.len() as u64);
        rest = rest.get(bytes.len()..).unwrap_or_default();
    }
    instructions
}

/// What is asked of the instruction at the start of `code`; `None` when it is none, or cut.
pub(crate) fn with_first<T>(
    machine: Machine,
    address: u64,
    code: &[u8],
    ask: impl FnOnce(&Decoded<'_>) -> T,
) -> Option<T> {
    let capstone = capstone(machine)?;
    let mut decoder = capstone.disasm_iter(first(machine, code)?, address).ok()?;
    let insn = decoder.next()?;
    let detail = capstone.insn_detail(&insn).ok()?;
    Some(ask(&Decoded { capstone: &capstone, insn: &insn, detail }))
}

/// As debuggers write it: each halfword (Thumb) or word a number, most significant byte first.
fn as_number(machine: Machine, bytes: &[u8]) -> String {
    let unit = if machine == Machine::Thumb { 2 } else { 4 };
    if machine == (Machine::Mips { is_big_endian: true }) {
        return hex(bytes);
    }
    bytes.chunks(unit).map(|part| hex(&part.iter().rev().copied().collect::<Vec<_>>())).collect()
}

/// The operands with their last one, a fixed address, replaced.
pub(crate) fn with_mark(operands: &str) -> String {
    match operands.rsplit_once(", ") {
        Some((before, _)) => format!("{before}, {TARGET_MARK}"),
        None => TARGET_MARK.to_string(),
    }
}
