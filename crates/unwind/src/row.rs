//! From the rules of a frame to the caller's registers.

use gimli::{CfaRule, Register, RegisterRule, UnwindExpression, UnwindSection};
use minidump_unwind::FrameWalker;

use crate::caller::Caller;
use crate::cfi::{FrameRules, Reader, Section};
use crate::expression::Callee;
use crate::registers::Registers;

/// Evaluates the rules on the callee's registers. `None` when the CFA or the return address
/// cannot be had.
pub(crate) fn evaluate(
    rules: &FrameRules<'_>,
    registers: Registers,
    walker: &(dyn FrameWalker + Send),
) -> Option<Caller> {
    let callee = Callee { walker, registers, encoding: rules.encoding };
    let return_rule = rules.row.register(rules.return_address);
    if matches!(return_rule, Some(RegisterRule::Undefined)) {
        return Some(Caller::End);
    }
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
