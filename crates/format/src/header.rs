//! The minidump's header and stream directory.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | Signature | `MDMP`, 0x504D444D |
//! | 4 | 4 | u32 | Version | low 16 bits 0xA793; the high ones are the writer's own, 0 here |
//! | 8 | 4 | u32 | NumberOfStreams | entries in the directory, unused ones included |
//! | 12 | 4 | u32 | StreamDirectoryRva | file offset of the directory, here always 32 |
//! | 16 | 4 | u32 | CheckSum | 0 |
//! | 20 | 4 | u32 | TimeDateStamp | seconds since 1970-01-01 UTC |
//! | 24 | 8 | u64 | Flags | `MINIDUMP_TYPE` bits |
//!
//! A directory entry is three `u32`: stream type (0 = unused entry), size in bytes, file offset.
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_HEADER`, `MINIDUMP_DIRECTORY`.

use crate::Writer;

/// Bytes of the header; the directory follows it.
pub const HEADER_SIZE: u32 = 32;
/// Bytes of one directory entry.
pub const DIRECTORY_ENTRY_SIZE: u32 = 12;
const SIGNATURE: u32 = 0x504D_444D;
const VERSION: u32 = 0xA793;

/// Where one stream stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectoryEntry {
    /// Stream type; 0 marks an unused entry, which readers skip.
    pub stream_type: u32,
    /// Size in bytes.
    pub size: u32,
    /// File offset.
    pub rva: u32,
}

/// Encodes header and directory: `HEADER_SIZE + entries * DIRECTORY_ENTRY_SIZE` bytes.
///
/// `time_s` is seconds since 1970-01-01 UTC, `flags` the `MINIDUMP_TYPE` bits.
#[must_use]
pub fn encode(entries: &[DirectoryEntry], time_s: u32, flags: u64) -> Vec<u8> {
    let mut out = Writer::new();
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    out.u32(SIGNATURE).u32(VERSION).u32(count).u32(HEADER_SIZE);
    out.u32(0).u32(time_s).u64(flags);
    for entry in entries {
        out.u32(entry.stream_type).u32(entry.size).u32(entry.rva);
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_directory_have_the_specified_size() {
        let entry = DirectoryEntry { stream_type: 7, size: 56, rva: 0x1000 };
        let bytes = encode(&[entry, DirectoryEntry::default()], 1, 2);
        assert_eq!(bytes.len(), 32 + 2 * 12);
        assert_eq!(&bytes[..8], b"MDMP\x93\xa7\0\0");
        assert_eq!(&bytes[32..36], &[7, 0, 0, 0]);
    }
}
