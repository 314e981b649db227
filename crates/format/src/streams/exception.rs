//! `ExceptionStream` (6), 168 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | ThreadId | the crashing thread |
//! | 4 | 4 | u32 | alignment | 0 |
//! | 8 | 4 | u32 | ExceptionCode | on Linux the signal number |
//! | 12 | 4 | u32 | ExceptionFlags | on Linux `si_code` |
//! | 16 | 8 | u64 | ExceptionRecord | 0 |
//! | 24 | 8 | u64 | ExceptionAddress | on Linux the fault address (`si_addr`), or the instruction |
//! | 32 | 4 | u32 | NumberParameters | 0, or 2 |
//! | 36 | 4 | u32 | alignment | 0 |
//! | 40 | 120 | u64[15] | ExceptionInformation | [0] access: 0 read, 1 write, 8 execute; [1] fault address |
//! | 160 | 8 | u32, u32 | ThreadContext | size, file offset |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_EXCEPTION_STREAM`; use on Linux: Breakpad's
//! `minidump_exception_linux.h`. The meaning of the parameters is that of Windows'
//! `EXCEPTION_ACCESS_VIOLATION`.

use crate::{Location, Writer};

/// What the faulting instruction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// It was fetched from where no code is.
    Execute,
}

/// The event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exception {
    /// Kernel id of the crashing thread.
    pub thread_id: u32,
    /// Signal number.
    pub signal: u32,
    /// `si_code`, as the bits of an `i32`.
    pub code: u32,
    /// Fault address, or the instruction's when the signal has none.
    pub address: u64,
    /// Known for page faults.
    pub access: Option<Access>,
    /// Registers at the fault.
    pub context: Location,
}

/// Encodes the stream.
#[must_use]
pub fn encode(exception: &Exception) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(exception.thread_id).u32(0).u32(exception.signal).u32(exception.code).u64(0);
    out.u64(exception.address);
    let (count, access) = match exception.access {
        None => (0, 0),
        Some(Access::Read) => (2, 0),
        Some(Access::Write) => (2, 1),
        Some(Access::Execute) => (2, 8),
    };
    let second = if count == 2 { exception.address } else { 0 };
    out.u32(count).u32(0).u64(access).u64(second).raw(&[0; 13 * 8]);
    out.u32(exception.context.size).u32(exception.context.rva);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_the_specified_size_and_order() {
        let bytes = encode(&Exception {
            signal: 11,
            address: 0x45,
            access: Some(Access::Write),
            ..Default::default()
        });
        assert_eq!(bytes.len(), 168);
        assert_eq!((bytes[8], bytes[24], bytes[32], bytes[40], bytes[48]), (11, 0x45, 2, 1, 0x45));
    }
}
