//! Lines of one module ("C13"): subsections behind its symbols.
//!
//! A subsection: 4 kind, 4 size, contents, aligned to 4. Bit 31 of the kind: to be ignored.
//!
//! | kind | contents |
//! |---|---|
//! | 0xf2 lines | 4 offset, 2 section, 2 flags (1: with columns), 4 size of the code, then blocks: 4 file (offset in the checksums), 4 lines, 4 size of the block, lines (4 offset, 4: line in bits 0 to 23), columns |
//! | 0xf4 checksums | 4 name (offset in `/names`), 1 size, 1 kind, the checksum, aligned to 4 |
//! | 0xf6 inlinee lines | 4 signature (1: with further files), then 4 inlinee, 4 file, 4 line, (4 count, 4 each) |
//! | 0xf7 imports | 4 module name (offset in `/names`), 4 count, 4 each: ids in that module |
//! | 0xf8 exports | 4 id in this module, 4 id |
//!
//! Lines 0xfeefee and 0xf00f00 say "step over" and "step into": code without a line.
//! Source: LLVM, `DebugInfo/CodeView`; Microsoft, `cvinfo.h`.

use std::collections::HashMap;
use std::ops::Range;

use crate::bytes::{size_at, u16_at, u32_at};

const LINES: u32 = 0xf2;
const CHECKSUMS: u32 = 0xf4;
const INLINEE_LINES: u32 = 0xf6;
const IMPORTS: u32 = 0xf7;
const EXPORTS: u32 = 0xf8;

const LINES_HEAD_BYTES: usize = 12;
const BLOCK_HEAD_BYTES: usize = 12;
const LINE_BYTES: usize = 8;
const LINE_MASK: u32 = 0x00ff_ffff;
const NO_LINES: [u32; 2] = [0x00fe_efee, 0x00f0_0f00];
/// Subsections of one module; there is one with lines per function.
const MAX_SUBSECTIONS: usize = 4 << 20;
/// Of one module.
const MAX_INLINEES: usize = 4 << 20;

/// Where the parts lie in a module's stream.
#[derive(Default)]
pub(crate) struct Lines {
    /// Sorted by section and offset.
    functions: Vec<FunctionLines>,
    checksums: Range<usize>,
    /// By id: file, and line at which the function starts.
    inlinees: HashMap<u32, (u32, u32)>,
    imports: Range<usize>,
    exports: Range<usize>,
}

#[derive(Clone)]
struct FunctionLines {
    section: u16,
    offset: u32,
    size_bytes: u32,
    blocks: Range<usize>,
}

/// File (offset in the checksums) and line; `None`: code without a line.
pub(crate) type Place = (u32, Option<u32>);

impl Lines {
    /// Finds the subsections from `start` to `end` of a module's stream.
    pub(crate) fn read(stream: &[u8], start: usize, end: usize) -> Self {
        let mut lines = Self::default();
        let mut at = start;
        for _ in 0..MAX_SUBSECTIONS {
            let head = at.checked_add(8).filter(|head| *head <= end);
            let (Some(kind), Some(size), Some(head)) =
                (u32_at(stream, at), at.checked_add(4).and_then(|at| size_at(stream, at)), head)
            else {
                break;
            };
            let Some(tail) = head.checked_add(size).filter(|tail| *tail <= stream.len()) else {
                break;
            };
            lines.add(stream, kind, head..tail);
            let Some(next) = tail.checked_next_multiple_of(4) else { break };
            at = next;
        }
        lines.functions.sort_by_key(|one| (one.section, one.offset));
        lines
    }

    fn add(&mut self, stream: &[u8], kind: u32, range: Range<usize>) {
        let bytes = stream.get(range.clone()).unwrap_or_default();
        match kind {
            LINES => self.functions.extend(FunctionLines::read(bytes, &range)),
            CHECKSUMS => self.checksums = range,
            INLINEE_LINES => read_inlinees(bytes, &mut self.inlinees),
            IMPORTS => self.imports = range,
            EXPORTS => self.exports = range,
            _ => {}
        }
    }

    /// The place of an address.
    pub(crate) fn find(&self, stream: &[u8], section: u16, offset: u32) -> Option<Place> {
        let is_before = |one: &FunctionLines| (one.section, one.offset) <= (section, offset);
        let after = self.functions.partition_point(is_before);
        // Functions may have several subsections; they do not overlap.
        let candidates = self.functions.get(..after)?.iter().rev().take(2);
        candidates.filter(|one| one.holds(section, offset)).find_map(|one| one.find(stream, offset))
    }

    /// File and line at which an inlined function starts.
    pub(crate) fn inlinee(&self, id: u32) -> Option<(u32, u32)> {
        self.inlinees.get(&id).copied()
    }

    /// Offset in `/names` of the file at an offset in the checksums.
    pub(crate) fn file_name(&self, stream: &[u8], file: u32) -> Option<usize> {
        let checksums = stream.get(self.checksums.clone())?;
        size_at(checksums, usize::try_from(file).ok()?)
    }

    /// Module (offset of its name in `/names`) and its id that a cross-module id stands for.
    pub(crate) fn import(&self, stream: &[u8], id: u32) -> Option<(usize, u32)> {
        let (module, index) = ((id >> 20) & 0x7ff, id & 0x000f_ffff);
        let bytes = stream.get(self.imports.clone())?;
        let mut at = 0usize;
        for _ in 0..module {
            let count = size_at(bytes, at.checked_add(4)?)?;
            at = at.checked_add(8)?.checked_add(count.checked_mul(4)?)?;
        }
        let count = u32_at(bytes, at.checked_add(4)?)?;
        let id_at = at.checked_add(8)?.checked_add(usize::try_from(index).ok()?.checked_mul(4)?)?;
        (index < count).then_some((size_at(bytes, at)?, u32_at(bytes, id_at)?))
    }

    /// What an id of this module is outside of it.
    pub(crate) fn export(&self, stream: &[u8], id: u32) -> Option<u32> {
        let bytes = stream.get(self.exports.clone())?;
        let mut pairs = bytes.chunks_exact(8);
        pairs.find(|pair| u32_at(pair, 0) == Some(id)).and_then(|pair| u32_at(pair, 4))
    }
}

impl FunctionLines {
    fn read(bytes: &[u8], range: &Range<usize>) -> Option<Self> {
        Some(Self {
            section: u16_at(bytes, 4)?,
            offset: u32_at(bytes, 0)?,
            size_bytes: u32_at(bytes, 8)?,
            blocks: range.start.checked_add(LINES_HEAD_BYTES)?..range.end,
        })
    }

    fn holds(&self, section: u16, offset: u32) -> bool {
        let within = offset.checked_sub(self.offset);
        self.section == section && within.is_some_and(|within| within < self.size_bytes)
    }

    /// The last line that starts before the address. Of lines that start at the address itself,
    /// the first: it is what a debugger stops at.
    fn find(&self, stream: &[u8], offset: u32) -> Option<Place> {
        let wanted = offset.checked_sub(self.offset)?;
        let mut best: Option<(u32, Place)> = None;
        let mut first: Option<(u32, Place)> = None;
        self.each_line(stream, |start, place| {
            let is_better = match best {
                Some((other, _)) if start == wanted => other < start,
                Some((other, _)) => other <= start,
                None => true,
            };
            if start <= wanted && is_better {
                best = Some((start, place));
            }
            if first.is_none_or(|(other, _)| start < other) {
                first = Some((start, place));
            }
        });
        // Code before the first line is the first line's.
        best.or(first).map(|(_, place)| place)
    }

    fn each_line(&self, stream: &[u8], mut each: impl FnMut(u32, Place)) {
        let mut bytes = stream.get(self.blocks.clone()).unwrap_or_default();
        while let (Some(file), Some(count), Some(size)) =
            (u32_at(bytes, 0), size_at(bytes, 4), size_at(bytes, 8))
        {
            let lines = bytes.get(BLOCK_HEAD_BYTES..).unwrap_or_default();
            for line in lines.chunks_exact(LINE_BYTES).take(count) {
                let (Some(start), Some(line)) = (u32_at(line, 0), u32_at(line, 4)) else { break };
                let line = line & LINE_MASK;
                let is_line = line != 0 && !NO_LINES.contains(&line);
                each(start, (file, is_line.then_some(line)));
            }
            match bytes.get(size.max(BLOCK_HEAD_BYTES)..) {
                Some(rest) => bytes = rest,
                None => break,
            }
        }
    }
}

fn read_inlinees(bytes: &[u8], inlinees: &mut HashMap<u32, (u32, u32)>) {
    let has_files = u32_at(bytes, 0) == Some(1);
    let mut at = 4usize;
    while inlinees.len() < MAX_INLINEES {
        let Some(entry) = bytes.get(at..) else { break };
        let (Some(id), Some(file), Some(line)) =
            (u32_at(entry, 0), u32_at(entry, 4), u32_at(entry, 8))
        else {
            break;
        };
        inlinees.insert(id, (file, line));
        let files = if has_files { size_at(entry, 12) } else { None };
        let further = files.map_or(Some(0), |count| count.checked_mul(4)?.checked_add(4));
        let Some(next) = further.and_then(|size| at.checked_add(12)?.checked_add(size)) else {
            break;
        };
        at = next;
    }
}
