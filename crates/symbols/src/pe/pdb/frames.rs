//! How frames of 32-bit x86 functions are laid out.
//!
//! | frame data (32 bytes) | | FPO (16 bytes) | |
//! |---|---|---|---|
//! | 0 | address of the code | 0 | address of the function |
//! | 4 | size of the code | 4 | size of the function |
//! | 8 | bytes of locals | 8 | words of locals |
//! | 12 | bytes of parameters | 12 (2) | words of parameters |
//! | 16 | most bytes on the stack | 14 (1) | size of the prologue |
//! | 20 | program (offset in `/names`) | 15 | bits 0 to 2 saved registers, 3 has exceptions, 4 uses `ebp`, 6 and 7 kind |
//! | 24 (2) | size of the prologue | | |
//! | 26 (2) | bytes of saved registers | | |
//! | 28 | flags | | |
//!
//! Frame data comes first. The two say what `STACK WIN 4` and `STACK WIN 0` records of Breakpad's `.sym`
//! files say. Source: Microsoft, `cvinfo.h` (`FRAMEDATA`), `winnt.h` (`FPO_DATA`); Breakpad,
//! `docs/symbol_files.md`.

use super::dbi::{Dbi, DebugStream, MACHINE_X86};
use super::msf::Msf;
use crate::bytes::{size_at, u8_at, u16_at, u32_at};

const FRAME_DATA_BYTES: usize = 32;
const FPO_BYTES: usize = 16;
/// Records of one file beyond this are left out.
const MAX_RECORDS: usize = 4 << 20;
/// Records that may start at or before an address and not hold it.
const MAX_OVERLAPS: usize = 16;

/// The layout of one function's frame, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    /// Address of the code, in bytes above the module's base.
    pub rva: u32,
    /// Size of the code.
    pub size_bytes: u32,
    /// Code in which the frame is not complete yet.
    pub prologue_bytes: u32,
    /// What the caller pushed.
    pub parameter_bytes: u32,
    /// Registers saved on the stack.
    pub saved_register_bytes: u32,
    /// Variables on the stack.
    pub local_bytes: u32,
    /// Most that is on the stack beside; 0 when unknown.
    pub max_stack_bytes: u32,
    /// How the caller's registers are computed, in postfix notation; `None` for FPO records.
    pub program: Option<String>,
    /// FPO only: whether `ebp` holds something else, and is saved.
    pub allocates_base_pointer: bool,
}

impl FrameRecord {
    /// As Breakpad writes it: its evaluator is used for both.
    pub(crate) fn to_stack_win(&self) -> Option<String> {
        let numbers = format!(
            "{:x} {:x} {:x} 0 {:x} {:x} {:x} {:x}",
            self.rva,
            self.size_bytes,
            self.prologue_bytes,
            self.parameter_bytes,
            self.saved_register_bytes,
            self.local_bytes,
            self.max_stack_bytes
        );
        match &self.program {
            Some(program) if program.contains(['\n', '\r']) => None,
            Some(program) => Some(format!("STACK WIN 4 {numbers} 1 {program}")),
            None => {
                let base_pointer = u8::from(self.allocates_base_pointer);
                Some(format!("STACK WIN 0 {numbers} 0 {base_pointer}"))
            }
        }
    }
}

#[derive(Default)]
pub(super) struct FrameTable {
    /// Sorted by address; the program is still an offset.
    records: Vec<(FrameRecord, Option<usize>)>,
}

impl FrameTable {
    pub(super) fn read(msf: &Msf, dbi: &Dbi) -> Self {
        if dbi.machine != MACHINE_X86 {
            return Self::default();
        }
        let stream = |which| msf.stream(dbi.debug_stream(which)?)?.read().ok();
        let frame_data = stream(DebugStream::FrameData);
        let frame_data = frame_data.as_ref().map_or(&[][..], |bytes| bytes);
        // The stream may start with a word that is no record.
        let skip = frame_data.len() % FRAME_DATA_BYTES % 8;
        let frame_data = frame_data.get(skip..).unwrap_or_default();
        let fpo = stream(DebugStream::Fpo);
        let fpo = fpo.as_ref().map_or(&[][..], |bytes| bytes);
        let mut records: Vec<_> = frame_data
            .chunks_exact(FRAME_DATA_BYTES)
            .filter_map(read_frame_data)
            .chain(fpo.chunks_exact(FPO_BYTES).filter_map(read_fpo))
            .take(MAX_RECORDS)
            .collect();
        // Stable: frame data stays before FPO, and is found last, that is first from behind.
        records.sort_by_key(|(record, program)| (record.rva, program.is_some()));
        Self { records }
    }

    /// All records, by address.
    pub(super) fn all(
        &self,
        text: impl Fn(usize) -> Option<String>,
    ) -> impl Iterator<Item = FrameRecord> {
        self.records.iter().map(move |(record, program)| FrameRecord {
            program: program.and_then(&text),
            ..record.clone()
        })
    }

    /// The record that holds an address; of several the one with a program.
    pub(super) fn find(
        &self,
        rva: u32,
        text: impl Fn(usize) -> Option<String>,
    ) -> Option<FrameRecord> {
        let after = self.records.partition_point(|(record, _)| record.rva <= rva);
        let before = self.records.get(..after)?.iter().rev().take(MAX_OVERLAPS);
        let holds = |record: &FrameRecord| {
            rva.checked_sub(record.rva).is_some_and(|within| within < record.size_bytes)
        };
        let holding = || before.clone().filter(|(record, _)| holds(record));
        let with_program = holding().find(|(_, program)| program.is_some());
        let (record, program) = with_program.or_else(|| holding().next())?;
        Some(FrameRecord { program: program.and_then(text), ..record.clone() })
    }
}

fn read_frame_data(bytes: &[u8]) -> Option<(FrameRecord, Option<usize>)> {
    let record = FrameRecord {
        rva: u32_at(bytes, 0)?,
        size_bytes: u32_at(bytes, 4)?,
        local_bytes: u32_at(bytes, 8)?,
        parameter_bytes: u32_at(bytes, 12)?,
        max_stack_bytes: u32_at(bytes, 16)?,
        prologue_bytes: u32::from(u16_at(bytes, 24)?),
        saved_register_bytes: u32::from(u16_at(bytes, 26)?),
        program: None,
        allocates_base_pointer: false,
    };
    Some((record, size_at(bytes, 20)))
}

fn read_fpo(bytes: &[u8]) -> Option<(FrameRecord, Option<usize>)> {
    let bits = u8_at(bytes, 15)?;
    let record = FrameRecord {
        rva: u32_at(bytes, 0)?,
        size_bytes: u32_at(bytes, 4)?,
        local_bytes: u32_at(bytes, 8)?.checked_mul(4)?,
        parameter_bytes: u32::from(u16_at(bytes, 12)?).checked_mul(4)?,
        max_stack_bytes: 0,
        prologue_bytes: u32::from(u8_at(bytes, 14)?),
        saved_register_bytes: u32::from(bits & 7).checked_mul(4)?,
        program: None,
        allocates_base_pointer: bits & 0x10 != 0,
    };
    Some((record, None))
}
