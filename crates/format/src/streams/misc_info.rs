//! `MiscInfoStream` (15), the first version: 24 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | SizeOfInfo | 24 |
//! | 4 | 4 | u32 | Flags1 | bit 0 process id, bit 1 process times |
//! | 8 | 4 | u32 | ProcessId | the process, never a thread |
//! | 12 | 4 | u32 | ProcessCreateTime | seconds since 1970-01-01 UTC |
//! | 16 | 4 | u32 | ProcessUserTime | seconds |
//! | 20 | 4 | u32 | ProcessKernelTime | seconds |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_MISC_INFO`.

use crate::Writer;

/// CPU and start times of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessTimes {
    /// Start, seconds since 1970-01-01 UTC.
    pub create_s: u32,
    /// User time in seconds.
    pub user_s: u32,
    /// Kernel time in seconds.
    pub kernel_s: u32,
}

/// Encodes the stream; `times` is `None` when they could not be read.
#[must_use]
pub fn encode(pid: u32, times: Option<ProcessTimes>) -> Vec<u8> {
    let mut out = Writer::new();
    let flags = if times.is_some() { 3 } else { 1 };
    let times = times.unwrap_or_default();
    out.u32(24).u32(flags).u32(pid).u32(times.create_s).u32(times.user_s).u32(times.kernel_s);
    out.into_bytes()
}
