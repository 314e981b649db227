//! MIPS of 32 bits, and the instructions that MIPS64 shares with it.
//!
//! The instruction behind a jump runs before the jump is made, so no jump ends a run of code here.

use capstone::arch::DetailsArchInsn;
use capstone::arch::mips::MipsOperand;

use crate::effects::{Access, Direction, Effects, Extend, Flow, Kind, Place};
use crate::engine::{self, Decoded, Targets, with_mark};
use crate::{Instruction, Machine};

/// Decodes `code` at `address`; what the end cuts off is left out.
pub(crate) fn disassemble(
    machine: Machine,
    address: u64,
    code: &[u8],
    max: usize,
) -> Vec<Instruction> {
    engine::disassemble(machine, address, code, max, |one| {
        let target = branch_target(one);
        let operands = one.operands();
        Targets {
            target,
            operands: target.map_or_else(|| operands.to_owned(), |_| with_mark(operands)),
            is_end: false,
        }
    })
}

/// Decodes the instruction at the start of `code`; `None` when it is none, or cut.
pub(crate) fn effects(machine: Machine, address: u64, code: &[u8]) -> Option<Effects> {
    engine::with_first(machine, address, code, |one| {
        let name = one.base_name();
        let access = access(one, &name);
        Effects {
            text: one.text(),
            len: one.insn.bytes().len(),
            has_unknown_accesses: false,
            accesses: access.into_iter().collect(),
            flow: flow(one, &name),
            is_call: name.starts_with("jal") || name.ends_with("al"),
            kind: kind(&name),
            alignment: alignment(&name),
        }
    })
}

fn operands(one: &Decoded<'_>) -> Vec<MipsOperand> {
    match one.detail.arch_detail() {
        capstone::arch::ArchDetail::MipsDetail(detail) => detail.operands().collect(),
        _ => Vec::new(),
    }
}

fn is_jump(name: &str) -> bool {
    let is_branch = name.starts_with('b') && !matches!(name, "break" | "bitswap");
    is_branch || matches!(name, "j" | "jal" | "jalx")
}

fn branch_target(one: &Decoded<'_>) -> Option<u64> {
    match operands(one).last()? {
        MipsOperand::Imm(to) if is_jump(&one.base_name()) => Some(to.cast_unsigned() & 0xffff_ffff),
        _ => None,
    }
}

fn access(one: &Decoded<'_>, name: &str) -> Option<Access> {
    let direction = match name.as_bytes().first()? {
        b'l' => Direction::Read,
        b's' => Direction::Write,
        _ => return None,
    };
    let (base, displacement) = operands(one).iter().find_map(|operand| match operand {
        MipsOperand::Mem(memory) => {
            Some((one.register_name(memory.base())?, memory.disp().cast_unsigned()))
        }
        _ => None,
    })?;
    let base = Some(base).filter(|name| name != "zero");
    let place =
        Place { base, index: None, extend: Extend::Whole, scale: 1, displacement, is_32_bit: true };
    Some(Access { place, size_bytes: size(name), direction })
}

/// 0 for `lwl` and its like, which touch a part of a word.
fn size(name: &str) -> u32 {
    match name {
        "lb" | "lbu" | "sb" => 1,
        "lh" | "lhu" | "sh" => 2,
        "lw" | "lwu" | "sw" | "ll" | "sc" | "lwc1" | "swc1" => 4,
        "ld" | "sd" | "lld" | "scd" | "ldc1" | "sdc1" => 8,
        _ => 0,
    }
}

/// Only `lwl` and its like need none (MIPS32 Architecture, volume I, 2.1.7).
fn alignment(name: &str) -> u64 {
    u64::from(size(name)).max(1)
}

fn flow(one: &Decoded<'_>, name: &str) -> Flow {
    match (name, branch_target(one)) {
        ("j" | "jal" | "jalx" | "b" | "bal", Some(to)) => Flow::To(to),
        ("jr" | "jalr" | "jr.hb" | "jalr.hb", _) => {
            let register = operands(one).into_iter().rev().find_map(|operand| match operand {
                MipsOperand::Reg(register) => one.register_name(register),
                _ => None,
            });
            register.map_or(Flow::Conditional, Flow::Register)
        }
        (_, Some(_)) | ("syscall" | "eret", _) => Flow::Conditional,
        _ => Flow::Next,
    }
}

fn kind(name: &str) -> Kind {
    match name {
        // Compilers write a check for 0 behind a division: `teq`, or `break 7`.
        "break" | "sdbbp" => Kind::Breakpoint,
        "teq" => Kind::Division,
        "eret" | "deret" | "mfc0" | "mtc0" | "tlbwi" | "tlbwr" | "tlbp" | "tlbr" | "wait"
        | "cache" => Kind::Privileged,
        _ => Kind::Other,
    }
}
