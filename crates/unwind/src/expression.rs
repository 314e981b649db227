//! DWARF expressions of call frame information.

use gimli::{EvaluationResult, Expression, Value};
use minidump_unwind::FrameWalker;

use crate::cfi::Reader;
use crate::registers::Registers;

/// Operations of one expression; compilers emit some dozens at most (the procedure linkage
/// table's has 8).
const MAX_OPERATIONS: u32 = 1024;

/// The registers and the memory that rules are evaluated on.
pub(crate) struct Callee<'a> {
    pub(crate) walker: &'a (dyn FrameWalker + Send),
    pub(crate) registers: Registers,
    pub(crate) encoding: gimli::Encoding,
    pub(crate) endian: gimli::RunTimeEndian,
}

impl Callee<'_> {
    /// The callee's register. The program counter is the instruction that is looked up: for an
    /// entry of the procedure linkage table, whose rules depend on it, that is exact.
    pub(crate) fn register(&self, register: gimli::Register) -> Option<u64> {
        if Some(register) == self.registers.program_counter {
            return Some(self.walker.get_instruction());
        }
        self.walker.get_callee_register(self.registers.name(register)?)
    }

    /// A word of the stack; `None` outside of what the dump holds.
    pub(crate) fn read(&self, address: u64) -> Option<u64> {
        self.walker.get_register_at_address(address)
    }

    /// Evaluates an expression; `initial` is pushed first. `None` when it needs what a dump
    /// does not have, or does not end.
    pub(crate) fn evaluate(
        &self,
        expression: Expression<Reader<'_>>,
        initial: Option<u64>,
    ) -> Option<u64> {
        let mut evaluation = expression.evaluation(self.encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut state = evaluation.evaluate().ok()?;
        // Each round resumes at least one operation, so the limit above ends this loop.
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = Value::Generic(self.register(register)?);
                    evaluation.resume_with_register(value).ok()?
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let value = Value::Generic(self.read_sized(address, size)?);
                    evaluation.resume_with_memory(value).ok()?
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    evaluation.resume_with_call_frame_cfa(initial?).ok()?
                }
                _ => return None,
            };
        }
        evaluation.value_result()?.to_u64(self.registers.truncate(u64::MAX)).ok()
    }

    /// Reads `size` bytes, zero-extended. All supported dumps are little-endian.
    fn read_sized(&self, address: u64, size: u8) -> Option<u64> {
        let word = self.read(address)?;
        match size {
            1 => Some(word & 0xff),
            2 => Some(word & 0xffff),
            4 => Some(word & 0xffff_ffff),
            8 => Some(word),
            _ => None,
        }
    }
}
