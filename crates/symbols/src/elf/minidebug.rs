//! `.gnu_debugdata`: a second, xz-compressed ELF file with the symbols that `.dynsym` lacks.
//!
//! Fedora, RHEL and Android ship stripped files with it. Source: GDB manual, "Debugging
//! information in a special section" (MiniDebugInfo).

use std::io::Read;

use lzma_rust2::XzReader;
use object::read::{Object, ObjectSection};

/// What the file may grow to; symbols of the largest libraries take some 10 MiB.
const MAX_BYTES: u64 = 256 << 20;
/// Memory that the decoder may ask for, in KiB.
const MAX_DECODER_KIB: u32 = 128 << 10;

/// The decompressed file; `None` when there is none, or it is malformed or too large.
pub(crate) fn unpack_debugdata(object: &object::File<'_>) -> Option<Box<[u8]>> {
    let packed = object.section_by_name(".gnu_debugdata")?.data().ok()?;
    let mut bytes = Vec::new();
    let decoder = XzReader::new_mem_limit(packed, false, MAX_DECODER_KIB);
    let read_bytes = decoder.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let is_whole = u64::try_from(read_bytes).is_ok_and(|read_bytes| read_bytes < MAX_BYTES);
    is_whole.then(|| bytes.into_boxed_slice())
}
