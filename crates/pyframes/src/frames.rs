//! One frame: its fields, and what they mean together with its code object.

use lastwords_format::streams::python::{FrameOwner, PythonFrame};

use crate::code::{Code, Codes};
use crate::layout::{Chain, Instruction, Owner};
use crate::lines::Location;
use crate::objects::Objects;
use crate::soft_errors::SoftErrors;
use crate::source::Fault;

const UNIT_SIZE: i64 = 2;

/// The fields of a frame structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub address: u64,
    pub code: u64,
    pub previous: u64,
    pub owner: FrameOwner,
    /// 3.11: the oldest frame of its native activation.
    pub is_entry: bool,
    instruction: u64,
}

/// Where a frame is in its bytecode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Index of a code unit, -1 = not started.
    Unit(i64),
    /// Not in the bytecode of its code object.
    Outside,
}

/// Reads frames; keeps what they share.
pub(crate) struct FrameReader<'m> {
    pub objects: Objects<'m>,
    pub codes: Codes,
    pub soft_errors: SoftErrors,
}

impl FrameReader<'_> {
    /// The fields of the frame at `address`.
    pub fn raw_frame(&mut self, address: u64) -> Result<RawFrame, Fault> {
        let fields = self.objects.layout.frame;
        let (Instruction::Index(instruction) | Instruction::Address(instruction)) =
            fields.instruction;
        let (Owner::GeneratorPointer(owner) | Owner::Enum(owner)) = fields.owner;
        let is_entry = match self.objects.layout.chain {
            Chain::EntryFrames { is_entry, .. } => Some(is_entry),
            _ => None,
        };
        let wanted =
            [fields.code, fields.previous, instruction, owner, is_entry.unwrap_or(fields.code)];
        let record = self.objects.source.record(address, &wanted)?;
        let is_entry = is_entry.map(|field| record.get(field)).transpose()?;
        Ok(RawFrame {
            address,
            code: record.get(fields.code)?,
            previous: record.get(fields.previous)?,
            owner: decode_owner(fields.owner, record.get(owner)?),
            is_entry: is_entry.is_some_and(|flag| flag != 0),
            instruction: record.get(instruction)?,
        })
    }

    /// The frame with its names and lines; `None` for one that CPython itself does not count
    /// as a frame yet.
    ///
    /// # Errors
    /// Its code object is not one, or cannot be read. What else is missing leaves a soft
    /// error and a frame that is marked partial.
    pub fn frame(
        &mut self,
        raw: &RawFrame,
        anchor: Option<u64>,
    ) -> Result<Option<PythonFrame>, Fault> {
        let code = self.codes.get(&mut self.objects, raw.code)?;
        let position = self.position(raw, &code);
        if is_incomplete(raw, position, &code) {
            return Ok(None);
        }
        let mut frame = PythonFrame {
            frame: raw.address,
            code: raw.code,
            anchor,
            owner: raw.owner,
            is_entry: raw.is_entry,
            ..PythonFrame::default()
        };
        self.set_names(&mut frame, &code);
        self.set_location(&mut frame, position);
        Ok(Some(frame))
    }

    fn position(&self, raw: &RawFrame, code: &Code) -> Position {
        if let Instruction::Index(_) = self.objects.layout.frame.instruction {
            let low = u32::try_from(raw.instruction).unwrap_or(0);
            let index = i64::from(low.cast_signed());
            return if index >= -1 { Position::Unit(index) } else { Position::Outside };
        }
        let Some((start, units)) = code.bytecode else { return Position::Outside };
        let offset = raw.instruction.wrapping_sub(start).cast_signed();
        let unit = offset.div_euclid(UNIT_SIZE);
        let is_inside = unit >= -1 && unit < i64::try_from(units).unwrap_or(i64::MAX);
        if is_inside && offset.rem_euclid(UNIT_SIZE) == 0 {
            return Position::Unit(unit);
        }
        Position::Outside
    }

    fn set_names(&mut self, frame: &mut PythonFrame, code: &Code) {
        frame.name = self.text(frame, "co_name", &code.name);
        frame.file = self.text(frame, "co_filename", &code.file);
        if let Some(qualname) = &code.qualname {
            frame.qualname = self.text(frame, "co_qualname", qualname);
        }
    }

    /// A copy of a name, paid from the budget: many frames can share one long name.
    fn text(
        &mut self,
        frame: &mut PythonFrame,
        what: &str,
        text: &Result<String, Fault>,
    ) -> Option<String> {
        let copied = text.as_ref().map_err(Clone::clone).and_then(|text| {
            self.objects.source.spend(text.len())?;
            Ok(text.clone())
        });
        copied.map_err(|fault| self.note_partial(frame, what, &fault)).ok()
    }

    fn set_location(&mut self, frame: &mut PythonFrame, position: Position) {
        let lasti = match position {
            Position::Unit(unit) if unit < 0 => Some(-1),
            Position::Unit(unit) => i32::try_from(unit.saturating_mul(UNIT_SIZE)).ok(),
            Position::Outside => None,
        };
        frame.lasti = lasti.unwrap_or(-1);
        let located = match lasti {
            Some(lasti) => self.codes.locate(&mut self.objects, frame.code, lasti),
            None => Err(Fault::Implausible {
                what: "the instruction of a frame",
                address: frame.frame,
                found: 0,
                expected: "one inside the bytecode of its code object",
            }),
        };
        match located {
            Ok(Location { line, end_line, column, end_column }) => {
                frame.line = line;
                frame.end_line = end_line;
                frame.column = column;
                frame.end_column = end_column;
            }
            Err(fault) => self.note_partial(frame, "line", &fault),
        }
    }

    fn note_partial(&mut self, frame: &mut PythonFrame, what: &str, fault: &Fault) {
        frame.is_partial = true;
        let place = format!("code object at {:#x}", frame.code);
        self.soft_errors.push("python_frame_partial", place, format!("{what}: {fault}"));
    }
}

/// `_PyFrame_IsIncomplete` (`Include/internal/pycore_frame.h`, 3.11.7, 3.12.1, 3.13.0): the
/// frame has not reached the first traceable instruction, and is no generator's. 3.10 has no
/// such frames.
fn is_incomplete(raw: &RawFrame, position: Position, code: &Code) -> bool {
    match position {
        Position::Unit(unit) => raw.owner != FrameOwner::Generator && unit < code.first_traceable,
        Position::Outside => false,
    }
}

fn decode_owner(field: Owner, value: u64) -> FrameOwner {
    match (field, value) {
        (Owner::GeneratorPointer(_), 0) | (Owner::Enum(_), 2) => FrameOwner::FrameObject,
        (Owner::GeneratorPointer(_), _) | (Owner::Enum(_), 1) => FrameOwner::Generator,
        (Owner::Enum(_), 0) => FrameOwner::Thread,
        (Owner::Enum(_), 3) => FrameOwner::CStack,
        (Owner::Enum(_), _) => FrameOwner::Unknown,
    }
}
