//! What 32-bit ARM and Thumb instructions do.

use capstone::arch::DetailsArchInsn;
use capstone::arch::arm::{ArmOpMem, ArmOperand, ArmOperandType, ArmShift};

use crate::Machine;
use crate::arm32::{arm, branch_target, is_always, literal, registers, sets_pc};
use crate::effects::{Access, Direction, Effects, Extend, Flow, Kind, Place};
use crate::engine::{self, Decoded};

const WORD: u64 = 4;

/// Decodes the instruction at the start of `code`; `None` when it is none, or cut.
pub(crate) fn effects(machine: Machine, address: u64, code: &[u8]) -> Option<Effects> {
    engine::with_first(machine, address, code, |one| effects_of(machine, one))
}

fn effects_of(machine: Machine, one: &Decoded<'_>) -> Effects {
    let name = one.base_name();
    let shape = shape(one, &name);
    let place = shape.and_then(|_| place(machine, one, &name));
    let access = shape.zip(place).map(|((direction, size_bytes), place)| Access {
        place,
        size_bytes,
        direction,
    });
    Effects {
        text: one.text(),
        len: one.insn.bytes().len(),
        has_unknown_accesses: access.is_none() && shape.is_some(),
        flow: flow(one, &name, access.as_ref()),
        accesses: access.into_iter().collect(),
        is_call: matches!(name.as_str(), "bl" | "blx"),
        kind: kind(&name),
        alignment: alignment(&name),
    }
}

/// The direction and size of what it does to memory; a size of 0 is not known.
fn shape(one: &Decoded<'_>, name: &str) -> Option<(Direction, u32)> {
    let direction = match name {
        "swp" | "swpb" => Direction::ReadWrite,
        "pop" | "vpop" | "tbb" | "tbh" => Direction::Read,
        "push" | "vpush" => Direction::Write,
        _ if name.starts_with("ld") || name.starts_with("vld") => Direction::Read,
        _ if name.starts_with("st") || name.starts_with("vst") => Direction::Write,
        _ => return None,
    };
    Some((direction, size(one, name)))
}

fn size(one: &Decoded<'_>, name: &str) -> u32 {
    let listed = || listed(one, name).iter().map(|name| register_size(name)).sum();
    match name {
        "ldrb" | "ldrbt" | "ldrsb" | "ldrsbt" | "ldrexb" | "ldab" | "ldaexb" | "tbb" | "swpb"
        | "strb" | "strbt" | "strexb" | "stlb" | "stlexb" => 1,
        "ldrh" | "ldrht" | "ldrsh" | "ldrsht" | "ldrexh" | "ldah" | "ldaexh" | "tbh" | "strh"
        | "strht" | "strexh" | "stlh" | "stlexh" => 2,
        "ldr" | "ldrt" | "ldrex" | "lda" | "ldaex" | "str" | "strt" | "strex" | "stl" | "stlex"
        | "swp" => 4,
        "ldrd" | "ldrexd" | "ldaexd" | "strd" | "strexd" | "stlexd" => 8,
        "vldr" | "vstr" => registers(one).first().map_or(0, |first| register_size(first)),
        _ if list_shape(name).is_some() => listed(),
        // The lanes and structures of `vld1` and its like.
        _ => 0,
    }
}

fn register_size(name: &str) -> u32 {
    let is_numbered = name.get(1..).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    match name.as_bytes().first() {
        Some(b'd') if is_numbered => 8,
        Some(b'q') if is_numbered => 16,
        _ => 4,
    }
}

/// Whether instructions of this name work upwards from their base, and whether they skip a word
/// first; `None` for those that have no list of registers.
fn list_shape(name: &str) -> Option<(bool, bool)> {
    match name {
        "pop" | "vpop" | "ldm" | "stm" | "vldmia" | "vstmia" => Some((true, false)),
        "ldmib" | "stmib" => Some((true, true)),
        "push" | "vpush" | "ldmdb" | "stmdb" | "vldmdb" | "vstmdb" => Some((false, true)),
        "ldmda" | "stmda" => Some((false, false)),
        _ => None,
    }
}

/// Whether the base of a list is the stack pointer, without being named.
fn is_on_stack(name: &str) -> bool {
    matches!(name, "pop" | "vpop" | "push" | "vpush")
}

/// The registers that are loaded or stored by an instruction with a list.
fn listed(one: &Decoded<'_>, name: &str) -> Vec<String> {
    registers(one).into_iter().skip(usize::from(!is_on_stack(name))).collect()
}

fn place(machine: Machine, one: &Decoded<'_>, name: &str) -> Option<Place> {
    if let Some(fixed) = literal(machine, one) {
        return Some(at(None, fixed));
    }
    if let Some(shape) = list_shape(name) {
        return of_list(one, name, shape);
    }
    let detail = arm(one)?;
    let mut memories = detail.operands().filter_map(|operand| match operand.op_type {
        ArmOperandType::Mem(memory) => Some(of_memory(one, &operand, memory)),
        _ => None,
    });
    memories.next()?
}

/// The lowest address, where the base is the lowest or the highest.
fn of_list(one: &Decoded<'_>, name: &str, (is_up, is_before): (bool, bool)) -> Option<Place> {
    let base =
        if is_on_stack(name) { "sp".to_owned() } else { context_name(registers(one).first()?) };
    let size = u64::from(size(one, name));
    let displacement = match (is_up, is_before) {
        (true, false) => 0,
        (true, true) => WORD,
        (false, true) => size.wrapping_neg(),
        (false, false) => WORD.wrapping_sub(size),
    };
    Some(at(Some(base), displacement))
}

fn of_memory(one: &Decoded<'_>, operand: &ArmOperand, memory: ArmOpMem) -> Option<Place> {
    let name = |register| one.register_name(register).map(|name| context_name(&name));
    let base = name(memory.base())?;
    let displacement = i64::from(memory.disp()).cast_unsigned();
    let index = name(memory.index());
    // The counter is ahead of the instruction: what it stands for is in no register.
    if base == "pc" {
        return None;
    }
    let shifted = match operand.shift {
        ArmShift::Invalid => 1,
        ArmShift::Lsl(bits) => 1_u64.checked_shl(bits)?,
        _ => return None,
    };
    let is_subtracted = operand.subtracted || memory.scale() < 0;
    let scale = if is_subtracted { shifted.wrapping_neg() } else { shifted };
    Some(Place { index, scale, ..at(Some(base), displacement) })
}

fn at(base: Option<String>, displacement: u64) -> Place {
    Place { base, index: None, extend: Extend::Whole, scale: 1, displacement, is_32_bit: true }
}

/// As minidump contexts name it.
fn context_name(name: &str) -> String {
    match name {
        "sb" => "r9",
        "sl" => "r10",
        "r11" => "fp",
        "ip" => "r12",
        other => other,
    }
    .to_owned()
}

fn flow(one: &Decoded<'_>, name: &str, access: Option<&Access>) -> Flow {
    let register = || registers(one).last().map(|name| Flow::Register(context_name(name)));
    let branches = matches!(name, "b" | "bl" | "blx" | "bx" | "bxj" | "tbb" | "tbh" | "svc");
    let is_sent = branches || matches!(name, "cbz" | "cbnz") || sets_pc(one, name);
    let sent = match name {
        "b" | "bl" | "blx" if branch_target(one, name).is_some() => {
            branch_target(one, name).map(Flow::To)
        }
        "bx" | "blx" | "bxj" => register(),
        "mov" if is_sent => register(),
        _ if sets_pc(one, name) => access.map(|access| Flow::Memory(last_word(access))),
        _ => None,
    };
    match (is_sent, sent.filter(|_| is_always(one))) {
        (true, Some(flow)) => flow,
        (true, None) => Flow::Conditional,
        (false, _) => Flow::Next,
    }
}

/// The counter is the last register of a list, at the highest address.
fn last_word(access: &Access) -> Place {
    let before = u64::from(access.size_bytes).saturating_sub(WORD);
    let displacement = access.place.displacement.wrapping_add(before);
    Place { displacement, ..access.place.clone() }
}

fn kind(name: &str) -> Kind {
    match name {
        "bkpt" => Kind::Breakpoint,
        "udf" => Kind::Undefined,
        "hvc" | "smc" | "eret" | "rfeia" | "rfeib" | "rfeda" | "rfedb" => Kind::Privileged,
        _ => Kind::Other,
    }
}

/// ARM ARM, DDI 0406C, A3.2.1: the accesses that must be aligned whatever `SCTLR.A` is.
fn alignment(name: &str) -> u64 {
    match name {
        "ldrexh" | "strexh" | "ldaexh" | "stlexh" | "ldah" | "stlh" => 2,
        "ldrexd" | "strexd" | "ldaexd" | "stlexd" => 8,
        "ldrex" | "strex" | "ldaex" | "stlex" | "lda" | "stl" | "swp" | "ldrd" | "strd"
        | "vldr" | "vstr" => 4,
        _ if list_shape(name).is_some() => 4,
        _ => 1,
    }
}
