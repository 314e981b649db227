//! Going on where minidump-unwind ends a stack: behind signals.
//!
//! minidump-unwind takes an instruction in the first page, and a stack pointer that does not grow, for the
//! end of a stack. Behind a signal trampoline neither is one: what was interrupted may have called a null
//! pointer, and the handler may have run on a stack of its own that lies above the thread's.

use std::collections::HashSet;

use minidump::{
    CpuContext, MinidumpContext, MinidumpContextValidity, MinidumpModuleList, MinidumpRawContext,
    Module, UnifiedMemoryList,
};
use minidump_unwind::{FrameTrust, StackFrame};

use crate::interrupted::Interrupted;
use crate::provider::Provider;
use crate::registers::Registers;

impl Provider {
    /// The frame behind the last one of a stack that minidump-unwind ended too early: what a signal
    /// interrupted, or what called into nowhere. `None` when the stack has really ended.
    ///
    /// `frames`: at least the last two. Ask again with the new frame; when that gives nothing, go on with
    /// minidump-unwind from there, with the memory at its stack pointer. A forged stack may have any number
    /// of such frames: do this some times per thread only.
    pub fn resume(
        &self,
        frames: &[StackFrame],
        modules: &MinidumpModuleList,
        memory: &UnifiedMemoryList<'_>,
    ) -> Option<StackFrame> {
        let last = frames.last()?;
        let registers = registers_of(last)?;
        let before = frames.len().checked_sub(2).and_then(|index| frames.get(index));
        let mut machine = Machine::new(last, memory);
        if self.is_trampoline(last, modules) {
            let module = modules.module_at_address(last.instruction)?;
            let register = |name: &str| last.context.get_register(name);
            let read = |address: u64| machine.read(address);
            let found = self.interrupted(module, last.instruction, &register, &read)?;
            machine.take(&found, registers)?;
        } else if before.is_some_and(|before| self.is_trampoline(before, modules))
            && modules.module_at_address(last.instruction).is_none()
        {
            let call = machine.return_from_nowhere(registers)?;
            modules.module_at_address(call)?;
        } else {
            return None;
        }
        machine.finish(last, registers)
    }

    /// Sets the instructions that minidump-unwind cannot know: of signal trampolines to their start, which
    /// nobody called, and of 32-bit ARM to the start of the call, which has 2 or 4 bytes. `frames`: of one
    /// stack, newest first.
    pub fn correct_instructions(&self, frames: &mut [StackFrame], modules: &MinidumpModuleList) {
        let mut is_interrupted = true;
        for frame in frames {
            let trampoline = self.trampoline_of(frame, modules);
            if !is_interrupted && frame.trust != FrameTrust::Context {
                self.correct_instruction(frame, trampoline, modules);
            }
            is_interrupted = trampoline.is_some();
        }
    }

    fn correct_instruction(
        &self,
        frame: &mut StackFrame,
        trampoline: Option<u64>,
        modules: &MinidumpModuleList,
    ) {
        if let Some(start) = trampoline {
            frame.instruction = start;
            frame.function_base = frame.function_base.map(|_| start);
            return;
        }
        let module = modules.module_at_address(frame.instruction);
        let module = module.map(|module| -> &dyn Module { module });
        if matches!(frame.context.raw, MinidumpRawContext::Arm(_))
            && let Some(call) = self.call_before(module, frame.resume_address)
        {
            frame.instruction = call;
        }
    }

    fn is_trampoline(&self, frame: &StackFrame, modules: &MinidumpModuleList) -> bool {
        self.trampoline_of(frame, modules).is_some()
    }

    /// Where the trampoline begins that a frame runs in.
    fn trampoline_of(&self, frame: &StackFrame, modules: &MinidumpModuleList) -> Option<u64> {
        let module = modules.module_at_address(frame.instruction)?;
        let base = module.raw.base_of_image;
        self.trampoline_at(module, frame.instruction.checked_sub(base)?)?.checked_add(base)
    }
}

fn registers_of(frame: &StackFrame) -> Option<Registers> {
    use lastwords_symbols::Architecture::{Aarch64, Arm, X86, X86_64};

    Some(Registers::of(match frame.context.raw {
        MinidumpRawContext::X86(_) => X86,
        MinidumpRawContext::Amd64(_) => X86_64,
        MinidumpRawContext::Arm(_) => Arm,
        MinidumpRawContext::Arm64(_) => Aarch64,
        _ => return None,
    }))
}

/// The registers of a frame, and all memory.
struct Machine<'a> {
    frame: &'a StackFrame,
    memory: &'a UnifiedMemoryList<'a>,
    raw: MinidumpRawContext,
    valid: HashSet<&'static str>,
}

impl<'a> Machine<'a> {
    fn new(frame: &'a StackFrame, memory: &'a UnifiedMemoryList<'a>) -> Self {
        let valid = match &frame.context.valid {
            MinidumpContextValidity::All => {
                frame.context.general_purpose_registers().iter().copied().collect()
            }
            MinidumpContextValidity::Some(valid) => valid.clone(),
        };
        Self { frame, memory, raw: frame.context.raw.clone(), valid }
    }

    fn set(&mut self, name: &str, value: u64) -> Option<()> {
        let name = match &mut self.raw {
            MinidumpRawContext::X86(context) => set(context, name, u32::try_from(value).ok()?),
            MinidumpRawContext::Arm(context) => set(context, name, u32::try_from(value).ok()?),
            MinidumpRawContext::Amd64(context) => set(context, name, value),
            MinidumpRawContext::Arm64(context) => set(context, name, value),
            _ => None,
        }?;
        self.valid.insert(name);
        Some(())
    }

    /// Takes over what was interrupted; no other register is known.
    fn take(&mut self, found: &Interrupted, registers: Registers) -> Option<()> {
        self.valid.clear();
        for (name, value) in &found.registers {
            // A register that the dump's context does not have is no loss.
            let _ = self.set(name, *value);
        }
        // As behind a call, so that the step back hits.
        let behind = found.instruction.checked_add(registers.call_bytes)?;
        self.set(registers.instruction_name(), behind)
    }

    fn read(&self, address: u64) -> Option<u64> {
        let memory = self.memory.memory_at_address(address)?;
        match self.raw {
            MinidumpRawContext::X86(_) | MinidumpRawContext::Arm(_) => {
                memory.get_memory_at_address::<u32>(address).map(u64::from)
            }
            _ => memory.get_memory_at_address::<u64>(address),
        }
    }

    /// A call into nowhere has pushed its return address, or left it in the link register. Gives the
    /// address of the call.
    fn return_from_nowhere(&mut self, registers: Registers) -> Option<u64> {
        let sp = self.frame.context.get_register(registers.stack_name())?;
        let return_address = if registers.has_link_register {
            self.frame.context.get_register("lr")?
        } else {
            let width = registers.word_bytes();
            let address = self.read(sp)?;
            self.set(registers.stack_name(), sp.checked_add(width)?)?;
            address
        };
        self.set(registers.instruction_name(), return_address)?;
        return_address.checked_sub(registers.call_bytes)
    }

    fn finish(self, callee: &StackFrame, registers: Registers) -> Option<StackFrame> {
        let valid = MinidumpContextValidity::Some(self.valid);
        let context = MinidumpContext { raw: self.raw, valid };
        let instruction = context.get_instruction_pointer().checked_sub(registers.call_bytes)?;
        let is_same = instruction == callee.instruction
            && context.get_stack_pointer() == callee.context.get_stack_pointer();
        let mut frame = StackFrame::from_context(context, FrameTrust::CallFrameInfo);
        frame.instruction = instruction;
        (!is_same).then_some(frame)
    }
}

fn set<C: CpuContext>(context: &mut C, name: &str, value: C::Register) -> Option<&'static str> {
    let known = context.memoize_register(name)?;
    context.set_register(name, value)?;
    Some(known)
}
