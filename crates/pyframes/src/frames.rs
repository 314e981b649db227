//! One frame: its fields, and what they mean together with its code object.

use lastwords_format::streams::python::{FrameOwner, PythonFrame};

use crate::code::{Code, Codes};
use crate::layout::{Chain, FrameFields, Instruction, Owner};
use crate::lines::Location;
use crate::objects::Objects;
use crate::soft_errors::SoftErrors;
use crate::source::{Fault, Record};

const UNIT_SIZE: i64 = 2;
/// The tags of a `_PyStackRef`.
const TAGS: u64 = 3;

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
    /// Which copy of the bytecode it runs; 0 = that of the code object.
    bytecode_index: i32,
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
        let (Instruction::ByteIndex(instruction)
        | Instruction::UnitIndex(instruction)
        | Instruction::Address(instruction)) = fields.instruction;
        let (Owner::GeneratorPointer(owner) | Owner::Enum(owner)) = fields.owner;
        let is_entry = match self.objects.layout.chain {
            Chain::EntryFrames { is_entry, .. } => Some(is_entry),
            _ => None,
        };
        let optional = |field: Option<_>| field.unwrap_or(fields.code);
        let (entry_flag, index) = (optional(is_entry), optional(fields.bytecode_index));
        let wanted = [fields.code, fields.previous, instruction, owner, entry_flag, index];
        let record = self.objects.source.record(address, &wanted)?;
        let is_entry = is_entry.map(|field| record.get(field)).transpose()?;
        let index = fields.bytecode_index.map(|field| record.get_i32(field)).transpose()?;
        Ok(RawFrame {
            address,
            code: code_address(&record, &fields)?,
            previous: record.get(fields.previous)?,
            owner: decode_owner(fields.owner, record.get(owner)?),
            is_entry: is_entry.is_some_and(|flag| flag != 0),
            instruction: record.get(instruction)?,
            bytecode_index: index.unwrap_or(0),
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
        if is_incomplete(raw, &position, &code) {
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

    /// Index of the code unit that the frame is at, -1 = not started.
    ///
    /// # Errors
    /// It is not in the bytecode of its code object.
    fn position(&mut self, raw: &RawFrame, code: &Code) -> Result<i64, Fault> {
        let index = || i64::from(u32::try_from(raw.instruction).unwrap_or(0).cast_signed());
        let unit = match self.objects.layout.frame.instruction {
            // -1 divided so is -1.
            Instruction::ByteIndex(_) => Some(index().div_euclid(UNIT_SIZE)),
            Instruction::UnitIndex(_) => Some(index()),
            Instruction::Address(_) => self.unit_of_address(raw, code)?,
        };
        unit.filter(|unit| *unit >= -1).ok_or(Fault::Implausible {
            what: "the instruction of a frame",
            address: raw.address,
            found: raw.instruction,
            expected: "one inside the bytecode of its code object",
        })
    }

    fn unit_of_address(&mut self, raw: &RawFrame, code: &Code) -> Result<Option<i64>, Fault> {
        let bytecode = match raw.bytecode_index {
            0 => code.bytecode,
            index => self.codes.bytecode_copy(&mut self.objects, raw.code, index)?,
        };
        Ok(bytecode.and_then(|(start, units)| {
            let offset = raw.instruction.wrapping_sub(start).cast_signed();
            let unit = offset.div_euclid(UNIT_SIZE);
            let is_inside = unit < i64::try_from(units).unwrap_or(i64::MAX);
            (is_inside && offset.rem_euclid(UNIT_SIZE) == 0).then_some(unit)
        }))
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

    fn set_location(&mut self, frame: &mut PythonFrame, position: Result<i64, Fault>) {
        let lasti = position.map(|unit| {
            let lasti = i32::try_from(unit.saturating_mul(UNIT_SIZE)).unwrap_or(i32::MAX);
            lasti.max(-1)
        });
        frame.lasti = *lasti.as_ref().unwrap_or(&-1);
        let located =
            lasti.and_then(|lasti| self.codes.locate(&mut self.objects, frame.code, lasti));
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

/// `f_code` or `f_executable`. What is tagged as a number is no address, and becomes 0.
fn code_address(record: &Record, fields: &FrameFields) -> Result<u64, Fault> {
    let found = record.get(fields.code)?;
    Ok(match (fields.is_code_tagged, found & TAGS) {
        (true, TAGS) => 0,
        (true, _) => found & !TAGS,
        (false, _) => found,
    })
}

/// `_PyFrame_IsIncomplete` (`Include/internal/pycore_frame.h`, 3.11.7, 3.12.1, 3.13.0;
/// `pycore_interpframe.h`, 3.14.10, 3.15.2): the frame has not reached the first traceable
/// instruction, and is no generator's. 3.9 and 3.10 have no such frames.
fn is_incomplete(raw: &RawFrame, position: &Result<i64, Fault>, code: &Code) -> bool {
    let is_before = |unit: &i64| *unit < code.first_traceable;
    raw.owner != FrameOwner::Generator && position.as_ref().is_ok_and(is_before)
}

/// `enum _frameowner`. What 3.12 and 3.13 call `FRAME_OWNED_BY_CSTACK` (3) is
/// `FRAME_OWNED_BY_INTERPRETER` from 3.14 on, and 3.14 has a CSTACK (4) beside it: shims all.
fn decode_owner(field: Owner, value: u64) -> FrameOwner {
    match (field, value) {
        (Owner::GeneratorPointer(_), 0) | (Owner::Enum(_), 2) => FrameOwner::FrameObject,
        (Owner::GeneratorPointer(_), _) | (Owner::Enum(_), 1) => FrameOwner::Generator,
        (Owner::Enum(_), 0) => FrameOwner::Thread,
        (Owner::Enum(_), 3 | 4) => FrameOwner::CStack,
        (Owner::Enum(_), _) => FrameOwner::Unknown,
    }
}
