//! `CrashpadInfo` (0x43500001), version 1: ids and annotations, 56 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | version | 1 |
//! | 4 | 16 | GUID | report_id | our report id |
//! | 20 | 16 | GUID | client_id | our client id |
//! | 36 | 8 | u32, u32 | simple_annotations | size, file offset of the dictionary |
//! | 44 | 8 | u32, u32 | module_list | 0, 0 |
//! | 52 | 4 | u32 | reserved | 0 |
//!
//! Dictionary: `u32` count, then per entry two `u32` file offsets (key, value) of UTF-8 strings.
//! A GUID is `u32`, `u16`, `u16` little-endian, then eight bytes.
//!
//! Source: Crashpad's `minidump_extensions.h`, `MinidumpCrashpadInfo`.

use crate::{Sink, Writer};

/// Appends the dictionary, returns the stream. Ids are UUID bytes in text order.
///
/// # Errors
/// As [`Sink::append`].
pub fn encode<S: Sink>(
    sink: &mut S,
    report_id: [u8; 16],
    client_id: [u8; 16],
    annotations: &[(String, String)],
) -> Result<Vec<u8>, S::Error> {
    let mut dictionary = Writer::new();
    dictionary.u32(u32::try_from(annotations.len()).unwrap_or(u32::MAX));
    for (key, value) in annotations {
        let (key, value) = (sink.append_utf8(key)?, sink.append_utf8(value)?);
        dictionary.u32(key.rva).u32(value.rva);
    }
    let dictionary = sink.append(&dictionary.into_bytes())?;
    let mut out = Writer::new();
    out.u32(1).raw(&guid(report_id)).raw(&guid(client_id));
    out.u32(dictionary.size).u32(dictionary.rva).u32(0).u32(0).u32(0);
    Ok(out.into_bytes())
}

/// From text order (all big-endian) to the mixed order of a GUID structure.
fn guid(uuid: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = uuid;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}
