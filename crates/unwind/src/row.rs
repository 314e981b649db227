//! From the rules of a frame to the caller's registers.

use gimli::{EndianSlice, Expression};
use minidump_unwind::FrameWalker;

use crate::expression::Callee;
use crate::registers::Registers;
use crate::rules::{FrameRules, Rule};

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
    rules: &FrameRules,
    registers: Registers,
    walker: &(dyn FrameWalker + Send),
) -> Option<Caller> {
    let callee = Callee { walker, registers, encoding: rules.encoding, endian: rules.endian };
    if is_outermost(rules) {
        return Some(Caller::End);
    }
    let return_rule = rules.register(rules.return_address);
    let cfa = value(&callee, None, &rules.cfa)?;
    let return_address = match return_rule {
        Some(Rule::SameValue) => callee.register(rules.return_address)?,
        Some(rule) => value(&callee, Some(cfa), rule)?,
        None if registers.has_link_register => callee.register(rules.return_address)?,
        None => return None,
    };
    let mut restored = Vec::new();
    for (register, rule) in &rules.registers {
        if Some(*register) == registers.program_counter {
            continue;
        }
        let Some(name) = registers.name(*register) else { continue };
        let value = match rule {
            Rule::SameValue => callee.register(*register),
            rule => value(&callee, Some(cfa), rule),
        };
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
pub(crate) fn is_outermost(rules: &FrameRules) -> bool {
    matches!(rules.register(rules.return_address), Some(Rule::Undefined))
}

/// The caller's registers that stand in a frame which ends at `cfa`.
pub(crate) fn saved_registers(
    rules: &FrameRules,
    registers: Registers,
    cfa: u64,
    read: &dyn Fn(u64) -> Option<u64>,
) -> Vec<(&'static str, u64)> {
    let saved = rules.registers.iter().filter_map(|(register, rule)| match rule {
        Rule::Offset(offset) if *register != rules.return_address => {
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

/// `None` for a value that cannot be had; without a CFA, for one that depends on it.
fn value(callee: &Callee<'_>, cfa: Option<u64>, rule: &Rule) -> Option<u64> {
    let evaluate =
        |bytes: &[u8]| callee.evaluate(Expression(EndianSlice::new(bytes, callee.endian)), cfa);
    match rule {
        Rule::RegisterAndOffset(register, offset) => {
            Some(callee.registers.add(callee.register(*register)?, *offset))
        }
        Rule::Offset(offset) => callee.read(callee.registers.add(cfa?, *offset)),
        Rule::ValOffset(offset) => Some(callee.registers.add(cfa?, *offset)),
        Rule::Register(other) => callee.register(*other),
        Rule::Expression(bytes) => callee.read(evaluate(bytes)?),
        Rule::ValExpression(bytes) => evaluate(bytes),
        Rule::Constant(value) => Some(*value),
        Rule::SameValue | Rule::Undefined | Rule::Lost => None,
    }
}
