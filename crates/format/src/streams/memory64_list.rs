//! `Memory64ListStream` (9): all memory of a large dump, its bytes one behind the other at the end
//! of the file, where 32-bit offsets do not reach.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | NumberOfMemoryRanges | entries that follow |
//! | 8 | 8 | u64 | BaseRva | file offset of the first range's bytes |
//! | 16 | 16 each | | MemoryRanges | `u64` StartOfMemoryRange, `u64` DataSize |
//!
//! The bytes of a range stand behind those of the range before it. The stream itself stands below
//! 4 GiB, like every other.
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_MEMORY64_LIST`, `MINIDUMP_MEMORY_DESCRIPTOR64`. Debuggers
//! write the ranges by address; readers (LLDB, rust-minidump) take any order.

use std::ops::Range;

use crate::Writer;

/// Bytes before the first entry.
pub const HEADER_SIZE: u64 = 16;
/// Bytes of one entry.
pub const ENTRY_SIZE: u64 = 16;

/// Bytes of a stream of so many ranges.
#[must_use]
pub fn size(ranges: usize) -> u64 {
    let ranges = u64::try_from(ranges).unwrap_or(u64::MAX);
    ENTRY_SIZE.saturating_mul(ranges).saturating_add(HEADER_SIZE)
}

/// Encodes the stream; the bytes of `ranges` stand at `base_rva`, in the same order.
#[must_use]
pub fn encode(base_rva: u64, ranges: &[Range<u64>]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u64(u64::try_from(ranges.len()).unwrap_or(u64::MAX)).u64(base_rva);
    for range in ranges {
        out.u64(range.start).u64(range.end.saturating_sub(range.start));
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_the_specified_layout() {
        let bytes = encode(0x1_0000_0000, &[0x1000..0x3000, 0x500..0x501]);
        assert_eq!(u64::try_from(bytes.len()).unwrap(), size(2));
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!([word(0), word(8)], [2, 0x1_0000_0000]);
        assert_eq!([word(16), word(24), word(32), word(40)], [0x1000, 0x2000, 0x500, 1]);
    }
}
