//! Suspended generators and coroutines: where they wait, and for what.

use std::collections::HashSet;

use lastwords_format::streams::python::PythonFrame;

use super::{Reader, implausible};
use crate::details::{ChainFrame, GeneratorKind};
use crate::layout::values::{AWAITED, Delegation, GeneratorFrame, StackTop};
use crate::source::Fault;

/// Values on the stack of one frame.
const MAX_STACK: u64 = 1 << 16;
/// 3.14: both low bits set, a number that is no pointer.
const TAGGED_INT: u64 = 3;
/// Bytes of an instruction.
const UNIT: u64 = 2;

/// A chain of generators, each waiting for the next.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Innermost first.
    pub frames: Vec<ChainFrame>,
    pub is_cut: bool,
    /// What the innermost one waits for.
    pub end: Option<u64>,
}

impl Reader<'_> {
    /// What kind of generator the object is; `None` = none.
    pub(super) fn generator_kind(&mut self, object: u64) -> Option<GeneratorKind> {
        match self.type_of(object).ok()?.built_in() {
            "generator" => Some(GeneratorKind::Generator),
            "coroutine" => Some(GeneratorKind::Coroutine),
            "async_generator" => Some(GeneratorKind::AsyncGenerator),
            _ => None,
        }
    }

    /// Address of the generator's frame; `None` when it has ended.
    pub(super) fn generator_frame(&mut self, object: u64) -> Result<Option<u64>, Fault> {
        match self.layout.generator.frame {
            GeneratorFrame::Pointer(field) => {
                let frame = self.structure(object, &[field])?.get(field)?;
                Ok((frame != 0).then_some(frame))
            }
            GeneratorFrame::Inside { offset, state } => {
                let has_ended = self.structure(object, &[state])?.get_i8(state)? > 0;
                Ok((!has_ended).then(|| object.saturating_add(offset)))
            }
        }
    }

    /// The chain that begins with the awaitable `object`.
    pub(super) fn await_chain(&mut self, object: u64, max_frames: usize) -> Chain {
        let mut chain = Chain::default();
        let mut met = HashSet::new();
        let mut next = Some(object);
        while let Some(object) = next {
            if !met.insert(object) {
                break;
            }
            let Some(kind) = self.generator_kind(object) else {
                next = self.pass_on(object);
                chain.end = Some(object);
                continue;
            };
            if chain.frames.len() >= max_frames {
                self.note_limit("max_chain_frames");
                chain.is_cut = true;
                break;
            }
            match self.chain_frame(object, kind) {
                Ok(Some((frame, awaited))) => {
                    chain.frames.push(frame);
                    chain.end = None;
                    next = awaited;
                }
                Ok(None) => break,
                Err(fault) => {
                    chain.is_cut = true;
                    self.note(format!("generator at {object:#x}"), "its frame", &fault);
                    break;
                }
            }
        }
        chain.frames.reverse();
        chain
    }

    /// What the small objects stand for that lie between a coroutine and what it awaits.
    fn pass_on(&mut self, object: u64) -> Option<u64> {
        let of = self.type_of(object).ok()?;
        let is_known = match of.built_in() {
            "async_generator_asend"
            | "async_generator_athrow"
            | "coroutine_wrapper"
            | "anext_awaitable" => true,
            _ => self.is_based_on(&of, "_asyncio.FutureIter"),
        };
        if !is_known {
            return None;
        }
        let awaited = self.structure(object, &[AWAITED]).ok()?.get(AWAITED).ok()?;
        (awaited != 0).then_some(awaited)
    }

    /// The generator's frame, and what it waits for; `None` when it has ended.
    fn chain_frame(
        &mut self,
        object: u64,
        kind: GeneratorKind,
    ) -> Result<Option<(ChainFrame, Option<u64>)>, Fault> {
        let Some(address) = self.generator_frame(object)? else { return Ok(None) };
        let raw = self.frames.raw_frame(address)?;
        let Some(frame) = self.frames.frame(&raw, None)? else { return Ok(None) };
        let awaited = self.delegate(object, &frame).unwrap_or(None);
        let frame =
            ChainFrame { object: Some(object), kind: Some(kind), ..ChainFrame::from(frame) };
        Ok(Some((frame, awaited)))
    }

    /// What a suspended generator has handed control to (`yield from`, `await`).
    fn delegate(&mut self, object: u64, frame: &PythonFrame) -> Result<Option<u64>, Fault> {
        let is_waiting = match self.layout.generator.delegation {
            Delegation::State(waiting) => match self.layout.generator.frame {
                GeneratorFrame::Inside { state, .. } => {
                    self.structure(object, &[state])?.get_i8(state)? == waiting
                }
                GeneratorFrame::Pointer(_) => false,
            },
            Delegation::Opcode(opcode) => {
                matches!(self.next_instruction(frame)?, Some((found, _)) if found == opcode)
            }
            Delegation::Resume(opcodes) => matches!(
                self.next_instruction(frame)?,
                Some((found, argument)) if opcodes.contains(&found) && argument >= 2
            ),
        };
        if is_waiting { self.top_of_stack(frame.frame) } else { Ok(None) }
    }

    /// Opcode and argument behind the last instruction that ran.
    fn next_instruction(&mut self, frame: &PythonFrame) -> Result<Option<(u8, u8)>, Fault> {
        let Ok(lasti) = u64::try_from(frame.lasti) else { return Ok(None) };
        let layout = self.frames.objects.layout;
        let start = match (layout.code.bytecode, self.layout.code.names) {
            (Some(offset), _) => frame.code.saturating_add(offset),
            (None, crate::layout::values::VariableNames::Split { bytecode, .. }) => {
                let code = self.structure(frame.code, &[bytecode])?.get(bytecode)?;
                code.saturating_add(layout.bytes_data)
            }
            _ => return Ok(None),
        };
        let next = start.saturating_add(lasti).saturating_add(UNIT);
        let unit = self.source().bytes(next, 2)?;
        Ok(unit.first().copied().zip(unit.get(1).copied()))
    }

    /// The newest value on the stack of a frame that does not run.
    fn top_of_stack(&mut self, frame: u64) -> Result<Option<u64>, Fault> {
        let fields = self.layout.stack;
        let start = frame.saturating_add(fields.locals);
        let end = match fields.top {
            StackTop::Address(field) => self.structure(frame, &[field])?.get(field)?,
            StackTop::Depth { values, depth } => {
                let record = self.structure(frame, &[values, depth])?;
                let depth = u64::try_from(record.get_i32(depth)?).unwrap_or(0);
                if depth == 0 {
                    return Ok(None);
                }
                record.get(values)?.saturating_add(depth.saturating_mul(8))
            }
            StackTop::Index(field) => {
                let top = self.structure(frame, &[field])?.get_i32(field)?;
                start.saturating_add(u64::try_from(top).unwrap_or(0).saturating_mul(8))
            }
        };
        if end <= start || end.saturating_sub(start) > MAX_STACK.saturating_mul(8) {
            return Err(implausible("end of a stack of values", frame, end, "one in its frame"));
        }
        let value = self.source().bytes(end.saturating_sub(8), 8)?;
        let value = super::little_endian(&value);
        if fields.tag_bits != 0 && value & TAGGED_INT == TAGGED_INT {
            return Ok(None);
        }
        let address = value & !fields.tag_bits;
        Ok((address != 0).then_some(address))
    }
}
