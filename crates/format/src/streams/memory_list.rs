//! `MemoryListStream` (5): `u32` count, then per range 16 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | StartOfMemoryRange | address in the process |
//! | 8 | 4 | u32 | DataSize | bytes |
//! | 12 | 4 | u32 | Rva | file offset of the bytes |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_MEMORY_DESCRIPTOR`. LLDB and WinDbg look memory up
//! here only, so the stacks stand here too, not only in the thread list.

use crate::{Location, Writer};

/// A range of the process's memory, and where its bytes stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryRange {
    /// Address of the first byte.
    pub start: u64,
    /// The bytes.
    pub data: Location,
}

impl MemoryRange {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.start).u32(self.data.size).u32(self.data.rva);
    }
}

/// Encodes the stream.
#[must_use]
pub fn encode(ranges: &[MemoryRange]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(u32::try_from(ranges.len()).unwrap_or(u32::MAX));
    for range in ranges {
        range.encode(&mut out);
    }
    out.into_bytes()
}
