//! `STACK WIN` records: how frames of 32-bit x86 functions are laid out, after a PDB.
//!
//! `STACK WIN type rva code prologue epilogue parameters saved locals max has_program program|base_pointer`,
//! numbers in hexadecimal; type 4 has a program, type 0 says whether the base pointer is used for
//! something else.

use std::io::{self, Write};

use super::SymReport;
use super::names::one_line;
use crate::pe::{FrameRecord, PeSymbols};

/// Writes all records of a PDB.
pub(super) fn write_frames(
    pe: &PeSymbols,
    out: &mut dyn Write,
    report: &mut SymReport,
) -> io::Result<()> {
    for record in pe.frame_records() {
        let FrameRecord { rva, size_bytes, prologue_bytes, parameter_bytes, .. } = record;
        let FrameRecord { saved_register_bytes, local_bytes, max_stack_bytes, .. } = record;
        let (kind, has_program, last) = match &record.program {
            Some(program) => (4, 1, one_line(program)),
            None => (0, 0, u8::from(record.allocates_base_pointer).to_string()),
        };
        writeln!(
            out,
            "STACK WIN {kind} {rva:x} {size_bytes:x} {prologue_bytes:x} 0 {parameter_bytes:x} \
             {saved_register_bytes:x} {local_bytes:x} {max_stack_bytes:x} {has_program} {last}"
        )?;
        report.frames = report.frames.saturating_add(1);
    }
    Ok(())
}
