//! What a signal interrupted: the registers that its trampoline will give back.

use minidump_unwind::FrameWalker;

use crate::registers::Registers;
use crate::row::{self, Caller};
use crate::rules::FrameRules;

/// A register by its name, where it is known.
pub type RegisterOf<'a> = &'a (dyn Fn(&str) -> Option<u64> + Sync);
/// A word of memory by its address, where it is known.
pub type WordAt<'a> = &'a (dyn Fn(u64) -> Option<u64> + Sync);

/// Where a thread was when the signal came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The instruction that was to run next.
    pub instruction: u64,
    /// Registers by name, the stack pointer among them.
    pub registers: Vec<(&'static str, u64)>,
}

pub(crate) fn interrupted(
    rules: &FrameRules,
    registers: Registers,
    callee: &Callee<'_>,
) -> Option<Interrupted> {
    let caller =
        if rules.is_signal { row::evaluate(rules, registers, callee)? } else { return None };
    let Caller::Frame { cfa, return_address, registers: restored } = caller else { return None };
    let stack_pointer = registers.name(registers.stack_pointer)?;
    let mut known: Vec<(&'static str, u64)> =
        restored.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if !known.iter().any(|(name, _)| *name == stack_pointer) {
        known.push((stack_pointer, cfa));
    }
    // It was moved for the step back into a call, which there was not.
    let instruction = return_address.checked_sub(registers.call_bytes)?;
    Some(Interrupted { instruction, registers: known })
}

/// The frame of the trampoline.
pub(crate) struct Callee<'a> {
    pub(crate) instruction: u64,
    pub(crate) register: RegisterOf<'a>,
    pub(crate) read: WordAt<'a>,
}

impl FrameWalker for Callee<'_> {
    fn get_instruction(&self) -> u64 {
        self.instruction
    }

    fn has_grand_callee(&self) -> bool {
        true
    }

    fn get_grand_callee_parameter_size(&self) -> u32 {
        0
    }

    fn get_register_at_address(&self, address: u64) -> Option<u64> {
        (self.read)(address)
    }

    fn get_callee_register(&self, name: &str) -> Option<u64> {
        (self.register)(name)
    }

    // Rules are only evaluated on it; nothing is handed over.

    fn set_caller_register(&mut self, _: &str, _: u64) -> Option<()> {
        None
    }

    fn clear_caller_register(&mut self, _: &str) {}

    fn set_cfa(&mut self, _: u64) -> Option<()> {
        None
    }

    fn set_ra(&mut self, _: u64) -> Option<()> {
        None
    }
}
