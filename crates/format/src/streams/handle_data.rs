//! `HandleDataStream` (12): a header of 16 bytes, then per open file descriptor 32 bytes.
//!
//! Header: `u32` size of header (16), `u32` size of an entry (32), `u32` count, `u32` 0. Entry:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | Handle | the descriptor's number |
//! | 8 | 4 | u32 | TypeNameRva | `MINIDUMP_STRING`: `File`, `Directory`, `Socket`, `Pipe` … |
//! | 12 | 4 | u32 | ObjectNameRva | `MINIDUMP_STRING`: path or name; 0 = none |
//! | 16 | 4 | u32 | Attributes | `st_mode` (stat(2)); 0 = not known |
//! | 20 | 4 | u32 | GrantedAccess | flags of open(2); 0 = read only, or not known |
//! | 24 | 4 | u32 | HandleCount | 0 |
//! | 28 | 4 | u32 | PointerCount | 0 |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_HANDLE_DATA_STREAM`, `MINIDUMP_HANDLE_DESCRIPTOR`.
//! `st_mode` in the attributes is what Crashpad's and Mozilla's writers for Linux put there.

use crate::{Sink, Writer};

/// One open file descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handle {
    /// Its number.
    pub number: u64,
    /// What it leads to, in one word.
    pub type_name: String,
    /// Path or name; empty = none.
    pub name: String,
    /// `st_mode`.
    pub mode: u32,
    /// Flags of `open(2)`.
    pub flags: u32,
}

/// Appends the texts, each once, returns the stream.
///
/// # Errors
/// As [`Sink::append`].
pub fn encode<S: Sink>(sink: &mut S, handles: &[Handle]) -> Result<Vec<u8>, S::Error> {
    let mut types: Vec<(&str, u32)> = Vec::new();
    let mut out = Writer::new();
    out.u32(16).u32(32).u32(u32::try_from(handles.len()).unwrap_or(u32::MAX)).u32(0);
    for handle in handles {
        let known = types.iter().find(|(name, _)| *name == handle.type_name);
        let type_rva = match known {
            Some((_, rva)) => *rva,
            None => {
                let rva = sink.append_utf16(&handle.type_name)?.rva;
                types.push((&handle.type_name, rva));
                rva
            }
        };
        let name = match handle.name.as_str() {
            "" => 0,
            name => sink.append_utf16(name)?.rva,
        };
        out.u64(handle.number).u32(type_rva).u32(name);
        out.u32(handle.mode).u32(handle.flags).u32(0).u32(0);
    }
    Ok(out.into_bytes())
}
