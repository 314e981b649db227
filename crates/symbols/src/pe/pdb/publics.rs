//! Public symbols by address: every function and variable that other modules may use, under its
//! linker's name.
//!
//! The public stream: 4 bytes of hash tables, 4 bytes of the address table, 20 not needed; the hash
//! tables; the address table: offsets of `S_PUB32` records in the symbol record stream, by section
//! and offset. Source: LLVM documentation, "The PDB Public Symbol Stream"; Microsoft, `PDB/dbi/gsi.h`.

use std::sync::Arc;

use super::msf::{Msf, Stream};
use super::records::Record;
use crate::bytes::{size_at, slice_at, u16_at, u32_at};
use crate::file::MappedFile;

const HEADER_BYTES: usize = 28;

/// The table and the records.
pub(crate) struct Publics {
    table: Arc<MappedFile>,
    /// Offset of the address table, and its entries.
    start: usize,
    count: usize,
    records: Stream,
}

/// A name at an address.
pub(crate) struct PublicName {
    pub(crate) section: u16,
    pub(crate) offset: u32,
    pub(crate) name: String,
}

impl Publics {
    pub(crate) fn open(msf: &Msf, public_stream: usize, symbol_stream: usize) -> Option<Self> {
        let table = msf.stream(public_stream)?.read().ok()?;
        let start = HEADER_BYTES.checked_add(size_at(&table, 0)?)?;
        let size = size_at(&table, 4)?;
        slice_at(&table, start, size)?;
        Some(Self { table, start, count: size / 4, records: msf.stream(symbol_stream)? })
    }

    /// The last symbol of a section at or before an offset: of those at one address the last,
    /// as other readers take it.
    pub(crate) fn find(&self, section: u16, offset: u32) -> Option<PublicName> {
        let found = self.name(self.behind(section, offset)?.checked_sub(1)?)?;
        (found.section == section).then_some(found)
    }

    /// The names of the symbols at an address, up to a number, last one first.
    pub(crate) fn names_at(&self, section: u16, offset: u32, max: usize) -> Vec<String> {
        let behind = self.behind(section, offset).unwrap_or(0);
        let indices = (0..behind).rev().take(max);
        let symbols = indices.map_while(|index| self.name(index));
        let is_there = |symbol: &PublicName| (symbol.section, symbol.offset) == (section, offset);
        symbols.take_while(is_there).map(|symbol| symbol.name).collect()
    }

    /// Index behind the last symbol at or before an address.
    fn behind(&self, section: u16, offset: u32) -> Option<usize> {
        let (mut low, mut high) = (0usize, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let (of, at) = self.address(middle)?;
            if (of, at) <= (section, offset) {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    fn place(&self, index: usize) -> Option<usize> {
        size_at(&self.table, self.start.checked_add(index.checked_mul(4)?)?)
    }

    fn address(&self, index: usize) -> Option<(u16, u32)> {
        let head = self.records.copy(self.place(index)?, 14).ok()?;
        Some((u16_at(&head, 12)?, u32_at(&head, 8)?))
    }

    fn name(&self, index: usize) -> Option<PublicName> {
        let place = self.place(index)?;
        let size = usize::from(u16_at(&self.records.copy(place, 2).ok()?, 0)?).checked_add(2)?;
        let bytes = self.records.copy(place, size).ok()?;
        let public = Record::at(&bytes, 0)?.public()?;
        let name = String::from_utf8_lossy(public.name).into_owned();
        Some(PublicName { section: public.section, offset: public.offset, name })
    }
}
