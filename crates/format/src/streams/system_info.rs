//! `SystemInfoStream` (7), 56 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 2 | u16 | ProcessorArchitecture | 9 = x86-64 |
//! | 2 | 2 | u16 | ProcessorLevel | CPU family |
//! | 4 | 2 | u16 | ProcessorRevision | model << 8 \| stepping |
//! | 6 | 1 | u8 | NumberOfProcessors | 255 at most |
//! | 7 | 1 | u8 | ProductType | 0 |
//! | 8 | 12 | u32[3] | MajorVersion, MinorVersion, BuildNumber | of the kernel |
//! | 20 | 4 | u32 | PlatformId | 0x8201 = Linux |
//! | 24 | 4 | u32 | CSDVersionRva | `MINIDUMP_STRING`: name, release, version, machine |
//! | 28 | 4 | u16, u16 | SuiteMask, reserved | 0 |
//! | 32 | 24 | u32[6] | x86 CPU information | vendor id, then version and feature words |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_SYSTEM_INFO`; platform id: Breakpad's
//! `minidump_format.h`, `MD_OS_LINUX`.

use crate::{Sink, Writer};

const PROCESSOR_AMD64: u16 = 9;
const PLATFORM_LINUX: u32 = 0x8201;

/// Facts about the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemInfo {
    /// CPU family.
    pub family: u16,
    /// CPU model.
    pub model: u8,
    /// CPU stepping.
    pub stepping: u8,
    /// Processors.
    pub processors: u8,
    /// Kernel release, first three numbers.
    pub kernel_version: [u32; 3],
    /// For example `Linux 6.1.0 #1 SMP x86_64`.
    pub os_text: String,
    /// For example `GenuineIntel`.
    pub vendor: [u8; 12],
}

/// Appends the text, returns the stream.
///
/// # Errors
/// As [`Sink::append`].
pub fn encode<S: Sink>(sink: &mut S, info: &SystemInfo) -> Result<Vec<u8>, S::Error> {
    let text = sink.append_utf16(&info.os_text)?;
    let mut out = Writer::new();
    out.u16(PROCESSOR_AMD64).u16(info.family).u8(info.stepping).u8(info.model);
    out.u8(info.processors).u8(0);
    for number in info.kernel_version {
        out.u32(number);
    }
    out.u32(PLATFORM_LINUX).u32(text.rva).u16(0).u16(0);
    out.raw(&info.vendor).raw(&[0; 12]);
    Ok(out.into_bytes())
}
