//! One module (object file) of a PDB: its functions, inlined calls and lines.

use std::sync::Arc;

use super::annotations::{find_line, read_lines};
use super::dbi::ModuleEntry;
use super::lines::Lines;
use super::msf::Msf;
use super::records::{InlineSite, Procedure, Record, Records};
use crate::file::MappedFile;

/// Signature before the records: C13.
const SIGNATURE_BYTES: usize = 4;
/// Functions of one module beyond this are left out.
const MAX_PROCEDURES: usize = 4 << 20;
/// Functions that may overlap before the one that holds an address.
const MAX_OVERLAPS: usize = 16;
/// Inlined calls inside each other.
const MAX_DEPTH: usize = 256;
/// Records gone through inside of one function.
const MAX_RECORDS: usize = 1 << 20;

/// One module, read.
pub(crate) struct Module {
    stream: Arc<MappedFile>,
    /// Sorted by section and offset.
    procedures: Vec<Procedure>,
    lines: Lines,
}

/// An inlined call at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InlineCall {
    pub(crate) inlinee: u32,
    /// File (offset in the checksums), if known.
    pub(crate) file: Option<u32>,
    pub(crate) line: Option<u32>,
}

impl Module {
    pub(crate) fn read(msf: &Msf, entry: &ModuleEntry) -> Option<Self> {
        let stream = msf.stream(entry.stream?)?.read().ok()?;
        let symbols_end = entry.symbol_bytes.min(stream.len());
        let lines_start = symbols_end.checked_add(entry.c11_bytes)?;
        let lines_end = lines_start.checked_add(entry.c13_bytes)?.min(stream.len());
        let procedures = read_procedures(&stream, symbols_end);
        let lines = Lines::read(&stream, lines_start, lines_end);
        Some(Self { stream, procedures, lines })
    }

    /// The function whose code holds an address: the last that starts before it. Of identical
    /// functions that the linker folded into one, the first, as other readers take it.
    pub(crate) fn procedure(&self, section: u16, offset: u32) -> Option<&Procedure> {
        let is_before = |one: &Procedure| (one.section, one.offset) <= (section, offset);
        let after = self.procedures.partition_point(is_before);
        let before = self.procedures.get(..after)?.iter().rev().take(MAX_OVERLAPS);
        let mut holders = before.filter(|procedure| procedure.holds(section, offset));
        let found = holders.next()?;
        holders.take_while(|other| other.offset == found.offset).last().or(Some(found))
    }

    pub(crate) fn name(&self, procedure: &Procedure) -> Option<String> {
        let name = procedure.name(&self.stream)?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// File (offset in `/names`) and line of an address, not regarding inlined calls.
    pub(crate) fn place(&self, section: u16, offset: u32) -> Option<(Option<usize>, Option<u32>)> {
        let (file, line) = self.lines.find(&self.stream, section, offset)?;
        Some((self.file(file), line))
    }

    /// Offset in `/names` of a file.
    pub(crate) fn file(&self, file: u32) -> Option<usize> {
        self.lines.file_name(&self.stream, file)
    }

    /// Module (offset of its name in `/names`) and its id that a cross-module id stands for.
    pub(crate) fn import(&self, id: u32) -> Option<(usize, u32)> {
        self.lines.import(&self.stream, id)
    }

    /// What an id of this module is outside of it.
    pub(crate) fn export(&self, id: u32) -> Option<u32> {
        self.lines.export(&self.stream, id)
    }

    /// The inlined calls that hold an offset in a function, outermost first.
    ///
    /// A call is inside of another whose record encloses its record; where the code of the inner
    /// one is not counted to the outer one, the outer one has no line.
    pub(crate) fn inline_calls(&self, procedure: &Procedure, offset: u32) -> Vec<InlineCall> {
        let mut best: Vec<InlineCall> = Vec::new();
        let mut open: Vec<(usize, InlineCall)> = Vec::new();
        let mut records = Records::new(&self.stream, procedure.record, procedure.end);
        // The function's own record.
        let _ = records.next();
        for _ in 0..MAX_RECORDS {
            let Some(record) = records.next() else { break };
            open.retain(|(end, _)| record.offset < *end);
            if let Some(nested) = record.procedure() {
                records.skip_to(nested.end);
                continue;
            }
            let Some(site) = record.inline_site() else { continue };
            if open.len() >= MAX_DEPTH {
                break;
            }
            let (call, is_hit) = self.call(&site, offset);
            open.push((site.end, call));
            if is_hit && open.len() > best.len() {
                best = open.iter().map(|(_, call)| *call).collect();
            }
        }
        best
    }

    /// Calls back for name (offset in `/names`), algorithm and checksum of every source file.
    pub(crate) fn each_checksum(&self, each: impl FnMut(usize, &'static str, &[u8])) {
        self.lines.each_checksum(&self.stream, each);
    }

    /// Calls back for section and offset of everything at which answers change.
    pub(crate) fn each_boundary(&self, mut each: impl FnMut(u16, u32)) {
        self.lines.each_start(&self.stream, &mut each);
        for procedure in &self.procedures {
            let Procedure { section, offset, size_bytes, .. } = *procedure;
            each(section, offset);
            each(section, offset.saturating_add(size_bytes));
            let records = Records::new(&self.stream, procedure.record, procedure.end);
            for site in records.take(MAX_RECORDS).filter_map(|record| record.inline_site()) {
                read_lines(site.annotations, |line| {
                    each(section, offset.saturating_add(line.start));
                    each(section, offset.saturating_add(line.end));
                });
            }
        }
    }

    fn call(&self, site: &InlineSite<'_>, offset: u32) -> (InlineCall, bool) {
        let start = self.lines.inlinee(site.inlinee);
        let found = find_line(site.annotations, offset);
        let line = start.zip(found).and_then(|((_, line), found)| {
            u32::try_from(i64::from(line).checked_add(found.line_delta)?).ok()
        });
        let file = found.and_then(|found| found.file).or(start.map(|(file, _)| file));
        let call = InlineCall { inlinee: site.inlinee, file, line: line.filter(|line| *line != 0) };
        (call, found.is_some())
    }
}

fn read_procedures(stream: &[u8], end: usize) -> Vec<Procedure> {
    let mut procedures = Vec::new();
    let mut records = Records::new(stream, SIGNATURE_BYTES, end);
    while let Some(record) = records.next() {
        let Some(procedure) = record.procedure() else { continue };
        if procedure.size_bytes > 0 && procedures.len() < MAX_PROCEDURES {
            procedures.push(procedure);
        }
        // What is inside is looked at when an address falls into it.
        if is_record(stream, procedure.end, end) {
            records.skip_to(procedure.end);
        }
    }
    procedures.sort_by_key(|one: &Procedure| (one.section, one.offset));
    procedures
}

fn is_record(stream: &[u8], at: usize, end: usize) -> bool {
    at < end && Record::at(stream, at).is_some()
}
