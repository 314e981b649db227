//! `ThreadNamesStream` (24): `u32` count, then per thread 12 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | ThreadId | kernel thread id |
//! | 4 | 8 | u64 | RvaOfThreadName | file offset of a `MINIDUMP_STRING` |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_THREAD_NAME` (packed to 4 bytes).

use crate::{Sink, Writer};

/// Appends the names, returns the stream.
///
/// # Errors
/// As [`Sink::append`].
pub fn encode<S: Sink>(sink: &mut S, names: &[(u32, &str)]) -> Result<Vec<u8>, S::Error> {
    let mut out = Writer::new();
    out.u32(u32::try_from(names.len()).unwrap_or(u32::MAX));
    for (thread_id, name) in names {
        let text = sink.append_utf16(name)?;
        out.u32(*thread_id).u64(text.rva.into());
    }
    Ok(out.into_bytes())
}
