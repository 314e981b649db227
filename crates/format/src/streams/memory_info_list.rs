//! `MemoryInfoListStream` (16): a header of 16 bytes, then per region 48 bytes.
//!
//! Header: `u32` size of header (16), `u32` size of an entry (48), `u64` count. Entry:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | BaseAddress | |
//! | 8 | 8 | u64 | AllocationBase | the same |
//! | 16 | 4 | u32 | AllocationProtect | as Protect |
//! | 20 | 4 | u32 | alignment | 0 |
//! | 24 | 8 | u64 | RegionSize | bytes |
//! | 32 | 4 | u32 | State | 0x1000 = committed |
//! | 36 | 4 | u32 | Protect | `PAGE_*` of Windows that says the same as rwx |
//! | 40 | 4 | u32 | Type | 0x20000 private, 0x40000 mapped |
//! | 44 | 4 | u32 | alignment | 0 |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_MEMORY_INFO_LIST`.

use crate::Writer;

const COMMITTED: u32 = 0x1000;
const PRIVATE: u32 = 0x2_0000;
const MAPPED: u32 = 0x4_0000;

/// One region of the address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // The kernel's own four permission letters.
pub struct Region {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// May be read.
    pub is_readable: bool,
    /// May be written.
    pub is_writable: bool,
    /// May be executed.
    pub is_executable: bool,
    /// Shared with other processes.
    pub is_shared: bool,
}

impl Region {
    fn protection(&self) -> u32 {
        match (self.is_readable, self.is_writable, self.is_executable) {
            (_, true, false) => 0x04,
            (_, true, true) => 0x40,
            (true, false, false) => 0x02,
            (true, false, true) => 0x20,
            (false, false, true) => 0x10,
            (false, false, false) => 0x01,
        }
    }
}

/// Encodes the stream.
#[must_use]
pub fn encode(regions: &[Region]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(16).u32(48).u64(u64::try_from(regions.len()).unwrap_or(u64::MAX));
    for region in regions {
        let protection = region.protection();
        out.u64(region.start).u64(region.start).u32(protection).u32(0).u64(region.size);
        out.u32(COMMITTED).u32(protection);
        out.u32(if region.is_shared { MAPPED } else { PRIVATE }).u32(0);
    }
    out.into_bytes()
}
