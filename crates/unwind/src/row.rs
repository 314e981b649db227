//! From the rules of a frame to the caller's registers.

use gimli::{CfaRule, Register, RegisterRule, UnwindExpression, UnwindSection};
use minidump_unwind::FrameWalker;

use crate::cfi::{FrameRules, Reader, Section};
use crate::expression::Callee;
use crate::registers::Registers;

/// The caller of a frame, wholly computed before anything is written to the walker: what fails
/// half-way leaves no trace for the next method.
pub(crate) enum Caller {
    /// The return address is undefined: this frame is the last one.
    End,
    Frame {
        cfa: u64,
        /// Already moved so that minidump-unwind's step back into the call hits.
        return_address: u64,
        /// A caller's register and its value; `None` when it is lost.
        registers: Vec<(&'static str, Option<u64>)>,
    },
}

/// Evaluates the rules on the callee's registers. `None` when the CFA or the return address
/// cannot be had.
pub(crate) fn evaluate(
    rules: &FrameRules<'_>,
    registers: Registers,
    walker: &(dyn FrameWalker + Send),
) -> Option<Caller> {
    let callee = Callee { walker, registers, encoding: rules.encoding };
    if is_outermost(rules) {
        return Some(Caller::End);
    }
    let return_rule = rules.row.register(rules.return_address);
    let cfa = cfa(rules, &callee)?;
    let return_address = match return_rule {
        Some(rule) => value(rules, &callee, cfa, rules.return_address, &rule)?,
        None if registers.has_link_register => callee.register(rules.return_address)?,
        None => return None,
    };
    let mut restored = Vec::new();
    for (register, rule) in rules.row.registers() {
        if Some(*register) == registers.program_counter {
            continue;
        }
        let Some(name) = registers.name(*register) else { continue };
        let value = value(rules, &callee, cfa, *register, rule);
        // Without a value of its own, the caller's stack pointer is the CFA.
        if value.is_some() || *register != registers.stack_pointer {
            restored.push((name, value));
        }
    }
    let return_address = if rules.is_signal {
        // Interrupted, not called: the address is exact, and must survive the step back.
        return_address.checked_add(registers.call_bytes)?
    } else {
        return_address
    };
    Some(Caller::Frame { cfa, return_address, registers: restored })
}

/// Whether the return address is undefined: the frame is the last one.
pub(crate) fn is_outermost(rules: &FrameRules<'_>) -> bool {
    matches!(rules.row.register(rules.return_address), Some(RegisterRule::Undefined))
}

/// The caller's registers that stand in a frame which ends at `cfa`.
pub(crate) fn saved_registers(
    rules: &FrameRules<'_>,
    registers: Registers,
    cfa: u64,
    read: &dyn Fn(u64) -> Option<u64>,
) -> Vec<(&'static str, u64)> {
    let saved = rules.row.registers().filter_map(|(register, rule)| match rule {
        RegisterRule::Offset(offset) if *register != rules.return_address => {
            let name = registers.name(*register)?;
            Some((name, read(registers.add(cfa, *offset))?))
        }
        _ => None,
    });
    saved.collect()
}

impl Caller {
    /// Hands the caller over.
    pub(crate) fn write(self, walker: &mut (dyn FrameWalker + Send)) -> Option<()> {
        match self {
            // minidump-unwind takes an address in the first page as the end of the stack,
            // instead of trying the next method.
            Self::End => walker.set_ra(0),
            Self::Frame { cfa, return_address, registers } => {
                walker.set_cfa(cfa)?;
                walker.set_ra(return_address)?;
                for (name, value) in registers {
                    match value {
                        // A register that the dump's context does not have is no loss.
                        Some(value) => drop(walker.set_caller_register(name, value)),
                        None => walker.clear_caller_register(name),
                    }
                }
                Some(())
            }
        }
    }
}

fn cfa(rules: &FrameRules<'_>, callee: &Callee<'_>) -> Option<u64> {
    match rules.row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            Some(callee.registers.add(callee.register(*register)?, *offset))
        }
        CfaRule::Expression(expression) => callee.evaluate(rules.section.get(expression)?, None),
    }
}

fn value(
    rules: &FrameRules<'_>,
    callee: &Callee<'_>,
    cfa: u64,
    register: Register,
    rule: &RegisterRule<usize>,
) -> Option<u64> {
    match rule {
        RegisterRule::SameValue => callee.register(register),
        RegisterRule::Offset(offset) => callee.read(callee.registers.add(cfa, *offset)),
        RegisterRule::ValOffset(offset) => Some(callee.registers.add(cfa, *offset)),
        RegisterRule::Register(other) => callee.register(*other),
        RegisterRule::Expression(expression) => {
            callee.read(callee.evaluate(rules.section.get(expression)?, Some(cfa))?)
        }
        RegisterRule::ValExpression(expression) => {
            callee.evaluate(rules.section.get(expression)?, Some(cfa))
        }
        RegisterRule::Constant(value) => Some(*value),
        RegisterRule::Undefined | RegisterRule::Architectural => None,
    }
}

impl<'a> Section<'a> {
    fn get(&self, expression: &UnwindExpression<usize>) -> Option<gimli::Expression<Reader<'a>>> {
        match self {
            Self::EhFrame(section) => read(section, expression),
            Self::DebugFrame(section) => read(section, expression),
        }
    }
}

fn read<'a, S: UnwindSection<Reader<'a>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
) -> Option<gimli::Expression<Reader<'a>>> {
    expression.get(section).ok()
}
