//! `LinuxDsoDebug` (0x4767000A): what the dynamic linker knew of its libraries.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | version | `r_debug.r_version` |
//! | 4 | 4 | u32 | map | file offset of the link map entries |
//! | 8 | 4 | u32 | dso_count | entries |
//! | 12 | 8 | u64 | brk | `r_debug.r_brk` |
//! | 20 | 8 | u64 | ldbase | `r_debug.r_ldbase` |
//! | 28 | 8 | u64 | dynamic | address of the executable's dynamic section |
//!
//! The dynamic section's own bytes follow at offset 36. A link map entry is `u64` load bias,
//! `u32` file offset of a `MINIDUMP_STRING`, `u64` address of the library's dynamic section.
//!
//! Source: Breakpad's `minidump_format.h`, `MDRawDebug64`, `MDRawLinkMap64`.

use crate::{Sink, Writer};

/// One library.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkMapEntry {
    /// Difference between addresses in the file and in memory.
    pub load_bias: u64,
    /// Path; empty for the executable itself.
    pub name: String,
    /// Address of its dynamic section.
    pub dynamic: u64,
}

/// The dynamic linker's rendezvous structure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DsoDebug {
    /// `r_version`.
    pub version: u32,
    /// `r_brk`.
    pub brk: u64,
    /// `r_ldbase`.
    pub ldbase: u64,
    /// Address of the executable's dynamic section.
    pub dynamic: u64,
    /// Bytes of that section.
    pub dynamic_bytes: Vec<u8>,
    /// Libraries in link order.
    pub libraries: Vec<LinkMapEntry>,
}

/// Appends names and link map, returns the stream.
///
/// # Errors
/// As [`Sink::append`].
pub fn encode<S: Sink>(sink: &mut S, debug: &DsoDebug) -> Result<Vec<u8>, S::Error> {
    let mut map = Writer::new();
    for library in &debug.libraries {
        let name = sink.append_utf16(&library.name)?;
        map.u64(library.load_bias).u32(name.rva).u64(library.dynamic);
    }
    let map = sink.append(&map.into_bytes())?;
    let mut out = Writer::new();
    out.u32(debug.version).u32(map.rva);
    out.u32(u32::try_from(debug.libraries.len()).unwrap_or(u32::MAX));
    out.u64(debug.brk).u64(debug.ldbase).u64(debug.dynamic).raw(&debug.dynamic_bytes);
    Ok(out.into_bytes())
}
