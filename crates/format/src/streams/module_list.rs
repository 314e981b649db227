//! `ModuleListStream` (4): `u32` count, then per module 108 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | u64 | BaseOfImage | address of the mapping of file offset 0 |
//! | 8 | 4 | u32 | SizeOfImage | up to the end of the last mapping |
//! | 12 | 4 | u32 | CheckSum | 0 |
//! | 16 | 4 | u32 | TimeDateStamp | 0 |
//! | 20 | 4 | u32 | ModuleNameRva | `MINIDUMP_STRING`, the file's path |
//! | 24 | 52 | | VersionInfo | 0 |
//! | 76 | 8 | u32, u32 | CvRecord | size, file offset |
//! | 84 | 24 | | MiscRecord, reserved | 0 |
//!
//! The CodeView record of an ELF module is `BpEL` (0x4270454C) and the bytes of its build id.
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_MODULE`; Breakpad's `minidump_format.h`,
//! `MDCVInfoELF`. Breakpad takes the first module for the main executable.

use crate::{Location, Sink, Writer};

const CV_ELF: u32 = 0x4270_454C;

/// One module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Module {
    /// Address of the image.
    pub base: u64,
    /// Bytes of the image in memory.
    pub size: u32,
    /// Path of its file.
    pub path: String,
    /// GNU build id, or what stands for it; empty = none.
    pub build_id: Vec<u8>,
}

/// Appends names and CodeView records, returns the stream.
///
/// # Errors
/// As [`Sink::append`].
pub fn encode<S: Sink>(sink: &mut S, modules: &[Module]) -> Result<Vec<u8>, S::Error> {
    let mut out = Writer::new();
    out.u32(u32::try_from(modules.len()).unwrap_or(u32::MAX));
    for module in modules {
        let name = sink.append_utf16(&module.path)?;
        let record = code_view(sink, &module.build_id)?;
        out.u64(module.base).u32(module.size).u32(0).u32(0).u32(name.rva);
        out.raw(&[0; 52]).u32(record.size).u32(record.rva).raw(&[0; 24]);
    }
    Ok(out.into_bytes())
}

fn code_view<S: Sink>(sink: &mut S, build_id: &[u8]) -> Result<Location, S::Error> {
    if build_id.is_empty() {
        return Ok(Location::default());
    }
    let mut record = CV_ELF.to_le_bytes().to_vec();
    record.extend_from_slice(build_id);
    sink.append(&record)
}
