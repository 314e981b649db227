//! The debug information stream (DBI, stream 3): modules, which of them made which code, and
//! where the other streams are.
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | signature | -1 |
//! | 8 | 4 | age | equals the image's CodeView record |
//! | 16 | 2 | public stream | search tables of the public symbols |
//! | 20 | 2 | symbol record stream | |
//! | 24, 28, 32, 36, 40 | 4 each | sizes | modules, section contributions, section map, files, type server map |
//! | 48, 52 | 4 each | sizes | debug header, edit and continue |
//! | 58 | 2 | machine | as in a PE header |
//! | 64 | | | the parts in this order: modules, contributions, section map, files, type server map, edit and continue, debug header |
//!
//! A module: 4 unused, 28 its first contribution, 2 flags, 2 stream, 4 bytes of symbols, 4 of
//! C11 lines, 4 of C13 lines, 16 not needed, its name and its object file (zero-ended), aligned
//! to 4. A contribution: 2 section, 2 padding, 4 offset, 4 size, 4 characteristics, 2 module, 10
//! not needed (14 in the second version). The debug header: stream numbers (2 bytes, 0xffff: none).
//!
//! Source: LLVM documentation, "The PDB DBI Stream"; Microsoft, `PDB/dbi/dbi.h`.

use super::PdbError;
use crate::bytes::{size_at, slice_at, text_at, u16_at, u32_at};

const HEADER_BYTES: usize = 64;
const MODULE_BYTES: usize = 64;
const MAX_MODULES: usize = 1 << 20;
const CONTRIBUTIONS_V1: u32 = 0xeffe_0000_u32.wrapping_add(19_970_605);
const CONTRIBUTIONS_V2: u32 = 0xeffe_0000_u32.wrapping_add(20_140_516);

/// Streams of the debug header, by their index in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DebugStream {
    Fpo = 0,
    /// From the image as it is to the image as the compiler left it.
    OmapToSource = 3,
    OmapFromSource = 4,
    SectionHeaders = 5,
    FrameData = 9,
    /// Of the image as the compiler left it.
    OriginalSectionHeaders = 10,
}

/// The machine of 32-bit x86 images.
pub(crate) const MACHINE_X86: u16 = 0x14c;

/// The head of the DBI stream, and its modules.
pub(crate) struct Dbi {
    pub(crate) age: u32,
    pub(crate) machine: u16,
    pub(crate) public_stream: usize,
    pub(crate) symbol_stream: usize,
    pub(crate) modules: Vec<ModuleEntry>,
    pub(crate) contributions: Vec<Contribution>,
    debug_streams: Vec<u16>,
}

/// Where one module's symbols and lines are.
pub(crate) struct ModuleEntry {
    pub(crate) name: Vec<u8>,
    /// `None`: it has neither.
    pub(crate) stream: Option<usize>,
    pub(crate) symbol_bytes: usize,
    pub(crate) c11_bytes: usize,
    pub(crate) c13_bytes: usize,
}

/// Code or data that came from one module; sorted by section and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contribution {
    section: u16,
    offset: u32,
    size_bytes: u32,
    module: u16,
}

impl Dbi {
    /// Age and machine only.
    pub(crate) fn age_and_machine(stream: &[u8]) -> Option<(u32, u16)> {
        Some((u32_at(stream, 8)?, u16_at(stream, 58)?))
    }

    pub(crate) fn parse(stream: &[u8]) -> Result<Self, PdbError> {
        Self::read(stream).ok_or(PdbError::Cut("debug information stream"))
    }

    fn read(stream: &[u8]) -> Option<Self> {
        let (age, machine) = Self::age_and_machine(stream)?;
        let mut at = HEADER_BYTES;
        let mut part = |size_offset: usize| {
            let bytes = slice_at(stream, at, size_at(stream, size_offset)?)?;
            at = at.checked_add(bytes.len())?;
            Some(bytes)
        };
        let modules = part(24)?;
        let contributions = part(28)?;
        // The section map, files and the type server map.
        let skipped = [part(32), part(36), part(40), part(52)];
        let debug_header = skipped.iter().all(Option::is_some).then(|| part(48)).flatten();
        Some(Self {
            age,
            machine,
            public_stream: usize::from(u16_at(stream, 16)?),
            symbol_stream: usize::from(u16_at(stream, 20)?),
            modules: read_modules(modules),
            contributions: read_contributions(contributions),
            debug_streams: debug_header
                .unwrap_or_default()
                .chunks_exact(2)
                .filter_map(|word| u16_at(word, 0))
                .collect(),
        })
    }

    /// The number of one of the debug header's streams.
    pub(crate) fn debug_stream(&self, which: DebugStream) -> Option<usize> {
        let index = *self.debug_streams.get(which as usize)?;
        (index != u16::MAX).then(|| usize::from(index))
    }

    /// The module whose contribution holds an address.
    pub(crate) fn module_at(&self, section: u16, offset: u32) -> Option<usize> {
        let is_before = |one: &Contribution| (one.section, one.offset) <= (section, offset);
        let after = self.contributions.partition_point(is_before);
        let found = self.contributions.get(after.checked_sub(1)?)?;
        let within = offset.checked_sub(found.offset)?;
        (found.section == section && within < found.size_bytes).then(|| usize::from(found.module))
    }

    /// The module with a name, as imports of other modules give it.
    pub(crate) fn module_named(&self, name: &[u8]) -> Option<usize> {
        self.modules.iter().position(|module| module.name.eq_ignore_ascii_case(name))
    }
}

fn read_modules(bytes: &[u8]) -> Vec<ModuleEntry> {
    let mut modules = Vec::new();
    let mut at = 0;
    while let Some((module, next)) = read_module(bytes, at) {
        modules.push(module);
        at = next;
        if modules.len() >= MAX_MODULES {
            break;
        }
    }
    modules
}

fn read_module(bytes: &[u8], at: usize) -> Option<(ModuleEntry, usize)> {
    let record = bytes.get(at..)?;
    let stream = u16_at(record, 34)?;
    let name = text_at(record, MODULE_BYTES)?;
    let object_at = MODULE_BYTES.checked_add(name.len())?.checked_add(1)?;
    let object = text_at(record, object_at)?;
    let end = object_at.checked_add(object.len())?.checked_add(1)?;
    let module = ModuleEntry {
        name: name.to_vec(),
        stream: (stream != u16::MAX).then(|| usize::from(stream)),
        symbol_bytes: size_at(record, 36)?,
        c11_bytes: size_at(record, 40)?,
        c13_bytes: size_at(record, 44)?,
    };
    Some((module, at.checked_add(end.checked_next_multiple_of(4)?)?))
}

fn read_contributions(bytes: &[u8]) -> Vec<Contribution> {
    let entry_bytes = match u32_at(bytes, 0) {
        Some(CONTRIBUTIONS_V1) => 28,
        Some(CONTRIBUTIONS_V2) => 32,
        _ => return Vec::new(),
    };
    let read = |entry: &[u8]| {
        Some(Contribution {
            section: u16_at(entry, 0)?,
            offset: u32_at(entry, 4)?,
            size_bytes: u32_at(entry, 8)?,
            module: u16_at(entry, 16)?,
        })
    };
    let entries = bytes.get(4..).unwrap_or_default().chunks_exact(entry_bytes);
    let mut contributions: Vec<_> = entries.filter_map(read).collect();
    // Linkers write them sorted.
    if !contributions.is_sorted() {
        contributions.sort_unstable();
    }
    contributions
}
