//! Mach-O's compact unwind information, `__unwind_info`.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | version, 1 |
//! | 4, 8 | 4, 4 | common encodings: offset, count |
//! | 12, 16 | 4, 4 | personalities: offset, count |
//! | 20, 24 | 4, 4 | index: offset, count; the last entry only says where the functions end |
//!
//! Index entries, 12 bytes: start of the functions, offset of their page, offset of their language data. A
//! page is regular (2) or compressed (3):
//!
//! | offset | size | regular | compressed |
//! |---|---|---|---|
//! | 0 | 4 | kind | kind |
//! | 4, 6 | 2, 2 | entries: offset, count | the same |
//! | 8, 10 | 2, 2 | | encodings: offset, count |
//! | entries | 8 or 4 each | start, encoding | bits 0 to 23 start behind the index entry's, 24 to 31 encoding: common ones first, then the page's |
//!
//! Addresses are relative to the image, offsets to the section or to the page. An encoding's bits 24 to 27
//! are its mode; 0 says nothing. Linkers make one entry of neighbours with equal encodings, so where a
//! function begins is told by `LC_FUNCTION_STARTS`. Source: Apple, `mach-o/compact_unwind_encoding.h`.

mod arm64;
mod x86_64;

use std::ops::Range;

use lastwords_symbols::{Architecture, Image};
use minidump_unwind::FrameWalker;

use crate::bytes::{u16_at, u32_at};
use crate::caller::Caller;

const INDEX_ENTRY_BYTES: usize = 12;
/// Functions of one image; real ones have some 100,000.
const MAX_RANGES: usize = 4 << 20;
const REGULAR: u32 = 2;
const COMPRESSED: u32 = 3;

/// What the section says of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    /// Addresses relative to the image.
    range: Range<u32>,
    encoding: u32,
}

impl Function {
    fn mode(&self) -> u32 {
        self.encoding >> 24 & 0xf
    }

    /// Bits of the encoding.
    fn bits(&self, from: u32, mask: u32) -> u32 {
        self.encoding.checked_shr(from).unwrap_or(0) & mask
    }
}

/// Whether an image has such a section that is understood.
pub(crate) fn has_table(image: &Image) -> bool {
    let is_known = matches!(image.architecture(), Architecture::X86_64 | Architecture::Aarch64);
    is_known && image.cfi_sections().unwind_info.is_some()
}

/// Whether an encoding, or a note that there is other information, covers an address.
pub(crate) fn covers(image: &Image, rva: u64) -> bool {
    find_in(image, rva).is_some_and(|function| function.encoding != 0)
}

/// What encodings cover, in bytes above the base; neighbours with equal ones may be one range.
pub(crate) fn ranges(image: &Image) -> Vec<Range<u64>> {
    let Some(section) = image.cfi_sections().unwind_info else { return Vec::new() };
    let word = |at: usize| u32_at(section.bytes, at);
    let index_at = word(20).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
    let pages = section.bytes.get(index_at..).unwrap_or_default();
    let count = word(24).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let mut found = Vec::new();
    for page in pages.chunks_exact(INDEX_ENTRY_BYTES).take(count) {
        let mut next = u32_at(page, 0);
        while let Some(function) = next.and_then(|start| find(section.bytes, start)) {
            let Range { start, end } = function.range;
            next = Some(end).filter(|end| *end > start && found.len() < MAX_RANGES);
            if function.mode() != 0 {
                found.push(u64::from(start)..u64::from(end));
            }
        }
    }
    found.sort_by_key(|range: &Range<u64>| range.start);
    found.dedup();
    found
}

/// The caller of the frame whose instruction lies `rva` bytes above the base. `None` also where the
/// section says to look into `__eh_frame`.
pub(crate) fn caller(image: &Image, rva: u64, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
    let function = find_in(image, rva)?;
    let rva = u32::try_from(rva).ok()?;
    match image.architecture() {
        Architecture::X86_64 => x86_64::caller(image, &function, rva, walker),
        _ => arm64::caller(image, &function, rva, walker),
    }
}

fn find_in(image: &Image, rva: u64) -> Option<Function> {
    let rva = u32::try_from(rva).ok()?;
    let mut function = find(image.cfi_sections().unwind_info?.bytes, rva)?;
    if let Some(start) = start_before(image, rva) {
        function.range.start = function.range.start.max(start);
    }
    Some(function)
}

/// The last start of a function at or before an address.
fn start_before(image: &Image, rva: u32) -> Option<u32> {
    let starts = image.function_starts();
    let address = image.image_base().checked_add(u64::from(rva))?;
    let after = starts.partition_point(|start| *start <= address);
    let start = starts.get(after.checked_sub(1)?)?.checked_sub(image.image_base())?;
    u32::try_from(start).ok()
}

/// Whether a function begins at an address, as far as is known: code that is not described may.
fn is_entry(image: &Image, rva: u64) -> bool {
    find_in(image, rva).is_none_or(|function| u64::from(function.range.start) == rva)
}

fn find(section: &[u8], rva: u32) -> Option<Function> {
    let word = |at: usize| usize::try_from(u32_at(section, at)?).ok();
    let (index_at, index_count) = (word(20)?, word(24)?);
    let start = |index: usize| {
        u32_at(section, index_at.checked_add(index.checked_mul(INDEX_ENTRY_BYTES)?)?)
    };
    let index = last_before(index_count, rva, start)?;
    let entry = index_at.checked_add(index.checked_mul(INDEX_ENTRY_BYTES)?)?;
    let page_at = word(entry.checked_add(4)?).filter(|at| *at != 0)?;
    // The next page's start ends the last function of this one.
    let end = start(index.checked_add(1)?)?;
    let page = Page { section, bytes: section.get(page_at..)?, first: start(index)? };
    match u32_at(page.bytes, 0)? {
        REGULAR => page.find(rva, end, |index| page.regular(index)),
        COMPRESSED => page.find(rva, end, |index| page.compressed(index)),
        _ => None,
    }
}

struct Page<'a> {
    section: &'a [u8],
    bytes: &'a [u8],
    /// Start of its first function.
    first: u32,
}

impl Page<'_> {
    fn find(
        &self,
        rva: u32,
        end: u32,
        entry: impl Fn(usize) -> Option<(u32, u32)>,
    ) -> Option<Function> {
        let count = usize::from(u16_at(self.bytes, 6)?);
        let start = |index: usize| entry(index).map(|(start, _)| start);
        let index = last_before(count, rva, start)?;
        let (begin, encoding) = entry(index)?;
        let next = index.checked_add(1).filter(|next| *next < count);
        let end = next.map_or(Some(end), start)?;
        (rva < end).then_some(Function { range: begin..end, encoding })
    }

    fn entry_at(&self, index: usize, size: usize) -> Option<usize> {
        usize::from(u16_at(self.bytes, 4)?).checked_add(index.checked_mul(size)?)
    }

    fn regular(&self, index: usize) -> Option<(u32, u32)> {
        let at = self.entry_at(index, 8)?;
        Some((u32_at(self.bytes, at)?, u32_at(self.bytes, at.checked_add(4)?)?))
    }

    fn compressed(&self, index: usize) -> Option<(u32, u32)> {
        let entry = u32_at(self.bytes, self.entry_at(index, 4)?)?;
        let start = self.first.checked_add(entry & 0x00ff_ffff)?;
        Some((start, self.encoding(usize::try_from(entry >> 24).ok()?)?))
    }

    fn encoding(&self, index: usize) -> Option<u32> {
        let word = |at: usize| usize::try_from(u32_at(self.section, at)?).ok();
        let (common_at, common_count) = (word(4)?, word(8)?);
        match index.checked_sub(common_count) {
            None => u32_at(self.section, common_at.checked_add(index.checked_mul(4)?)?),
            Some(own) => {
                let at = usize::from(u16_at(self.bytes, 8)?);
                let is_there = own < usize::from(u16_at(self.bytes, 10)?);
                let at = at.checked_add(own.checked_mul(4)?).filter(|_| is_there)?;
                u32_at(self.bytes, at)
            }
        }
    }
}

/// The last of `count` sorted entries that starts at or before an address.
fn last_before(count: usize, rva: u32, start: impl Fn(usize) -> Option<u32>) -> Option<usize> {
    let (mut low, mut high) = (0usize, count);
    while low < high {
        let middle = low.midpoint(high);
        if start(middle)? <= rva {
            low = middle.checked_add(1)?;
        } else {
            high = middle;
        }
    }
    low.checked_sub(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    /// A section with one regular and one compressed page.
    fn section() -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut bytes: Vec<u8> = words(&[1, 28, 1, 32, 0, 32, 3]);
        bytes.extend::<Vec<u8>>(words(&[0x0100_0000])); // the common encoding
        bytes.extend::<Vec<u8>>(words(&[0x1000, 68, 0, 0x2000, 92, 0, 0x2100, 0, 0])); // index
        bytes.extend::<Vec<u8>>(words(&[2, 2 << 16 | 8, 0x1000, 7, 0x1800, 8])); // regular
        bytes.extend::<Vec<u8>>(words(&[3, 2 << 16 | 12, 1 << 16 | 20])); // compressed
        bytes.extend::<Vec<u8>>(words(&[0x10, 1 << 24 | 0x80, 0x0200_0000]));
        bytes
    }

    #[test]
    fn functions_are_found_in_both_kinds_of_pages() {
        let bytes = section();
        let at = |rva| find(&bytes, rva).map(|f| (f.range.start, f.range.end, f.encoding));
        assert_eq!(at(0xfff), None);
        assert_eq!(at(0x1000), Some((0x1000, 0x1800, 7)));
        assert_eq!(at(0x1fff), Some((0x1800, 0x2000, 8)));
        assert_eq!(at(0x2000), None, "before the page's first function");
        assert_eq!(at(0x2010), Some((0x2010, 0x2080, 0x0100_0000)));
        assert_eq!(at(0x20ff), Some((0x2080, 0x2100, 0x0200_0000)));
        assert_eq!(at(0x2100), None);
    }

    #[test]
    fn cut_sections_give_nothing() {
        let bytes = section();
        for end in 0..bytes.len() {
            for rva in [0x1000, 0x2010, 0x2090] {
                let _ = find(&bytes[..end], rva);
            }
        }
    }
}
