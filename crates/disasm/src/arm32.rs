//! 32-bit ARM and Thumb.

use capstone::arch::DetailsArchInsn;
use capstone::arch::arm::{ArmCC, ArmInsnDetail, ArmOperandType};

use crate::engine::{self, Decoded, Targets, with_mark};
use crate::{Instruction, Machine, TARGET_MARK};

/// Decodes `code` at `address`; what the end cuts off is left out.
pub(crate) fn disassemble(
    machine: Machine,
    address: u64,
    code: &[u8],
    max: usize,
) -> Vec<Instruction> {
    engine::disassemble(machine, address, code, max, |one| targets(machine, one))
}

fn targets(machine: Machine, one: &Decoded<'_>) -> Targets {
    let name = one.base_name();
    let is_end = is_always(one) && (matches!(name.as_str(), "b" | "bx") || sets_pc(one, &name));
    let (target, operands) = if let Some(target) = branch_target(one, &name) {
        (Some(target), with_mark(one.operands()))
    } else if let Some(literal) = literal(machine, one) {
        (Some(literal), with_literal_mark(one.operands()))
    } else {
        (None, one.operands().to_owned())
    };
    Targets { target, operands, is_end }
}

/// `r0, [pc, #8]` with the mark in the brackets.
fn with_literal_mark(operands: &str) -> String {
    let before = operands.find('[').and_then(|at| operands.get(..at)).unwrap_or_default();
    format!("{before}[{TARGET_MARK}]")
}

/// Where a branch with a fixed target goes.
pub(crate) fn branch_target(one: &Decoded<'_>, name: &str) -> Option<u64> {
    if !matches!(name, "b" | "bl" | "blx" | "cbz" | "cbnz") {
        return None;
    }
    let operands: Vec<_> = arm(one)?.operands().collect();
    match operands.last()?.op_type {
        ArmOperandType::Imm(to) => Some(u64::from(to.cast_unsigned())),
        _ => None,
    }
}

/// The fixed address that a load relative to the program counter names: `Align(PC, 4)`, which is
/// two instructions ahead, and an offset (ARM ARM, DDI 0406C, A8.8.64).
pub(crate) fn literal(machine: Machine, one: &Decoded<'_>) -> Option<u64> {
    let ahead = if machine == Machine::Thumb { 4 } else { 8 };
    let pc = one.insn.address().wrapping_add(ahead) & !3;
    arm(one)?.operands().find_map(|operand| match operand.op_type {
        ArmOperandType::Mem(memory) => {
            let is_fixed =
                memory.index().0 == 0 && one.register_name(memory.base()).as_deref() == Some("pc");
            let to = pc.wrapping_add_signed(memory.disp().into()) & 0xffff_ffff;
            is_fixed.then_some(to)
        }
        _ => None,
    })
}

pub(crate) fn arm<'a>(one: &'a Decoded<'_>) -> Option<ArmInsnDetail<'a>> {
    match one.detail.arch_detail() {
        capstone::arch::ArchDetail::ArmDetail(detail) => Some(detail),
        _ => None,
    }
}

/// Whether it has no condition.
pub(crate) fn is_always(one: &Decoded<'_>) -> bool {
    arm(one).is_some_and(|detail| matches!(detail.cc(), ArmCC::ARM_CC_AL | ArmCC::ARM_CC_INVALID))
}

/// Names of the registers that are operands by themselves.
pub(crate) fn registers(one: &Decoded<'_>) -> Vec<String> {
    let Some(detail) = arm(one) else { return Vec::new() };
    let names = detail.operands().filter_map(|operand| match operand.op_type {
        ArmOperandType::Reg(register) => one.register_name(register),
        _ => None,
    });
    names.collect()
}

/// Whether it loads or moves something into the program counter.
pub(crate) fn sets_pc(one: &Decoded<'_>, name: &str) -> bool {
    let registers = registers(one);
    match name {
        "ldr" | "mov" => registers.first().is_some_and(|first| first == "pc"),
        "pop" | "ldm" | "ldmda" | "ldmdb" | "ldmib" => registers.iter().any(|one| one == "pc"),
        _ => false,
    }
}
