//! `ThreadInfoListStream` (17): a header of 12 bytes, then per thread 64 bytes.
//!
//! Header: `u32` size of header (12), `u32` size of an entry (64), `u32` count. Entry:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | ThreadId | kernel thread id |
//! | 4 | 4 | u32 | DumpFlags | 8 = times not known, 0x10 = no registers |
//! | 8 | 4 | u32 | DumpError | 0 |
//! | 12 | 4 | u32 | ExitStatus | 0x103 = still running |
//! | 16 | 8 | u64 | CreateTime | 100 ns since 1601-01-01 UTC; 0 = not known |
//! | 24 | 8 | u64 | ExitTime | 0 = still running |
//! | 32 | 8 | u64 | KernelTime | 100 ns |
//! | 40 | 8 | u64 | UserTime | 100 ns |
//! | 48 | 8 | u64 | StartAddress | 0 = not known: Linux does not keep it |
//! | 56 | 8 | u64 | Affinity | a bit for each of the first 64 processors; 0 = not known |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_THREAD_INFO_LIST`, `MINIDUMP_THREAD_INFO`.

use crate::Writer;

/// `MINIDUMP_THREAD_INFO_INVALID_INFO`.
const INVALID_INFO: u32 = 8;
/// `MINIDUMP_THREAD_INFO_INVALID_CONTEXT`.
const INVALID_CONTEXT: u32 = 0x10;
/// `STILL_ACTIVE`.
const STILL_ACTIVE: u32 = 0x103;
/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH_S: u64 = 11_644_473_600;
const TICKS_PER_S: u64 = 10_000_000;

/// Times of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadTimes {
    /// Start, nanoseconds since 1970-01-01 UTC.
    pub create_ns: u64,
    /// Kernel time in nanoseconds.
    pub kernel_ns: u64,
    /// User time in nanoseconds.
    pub user_ns: u64,
    /// A bit for each processor it may run on; 0 = not known.
    pub affinity: u64,
}

/// One thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadInfo {
    /// Kernel thread id.
    pub id: u32,
    /// Whether its registers are in the dump.
    pub has_context: bool,
    /// `None` when they could not be read.
    pub times: Option<ThreadTimes>,
}

/// Encodes the stream.
#[must_use]
pub fn encode(threads: &[ThreadInfo]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(12).u32(64).u32(u32::try_from(threads.len()).unwrap_or(u32::MAX));
    for thread in threads {
        let no_context = if thread.has_context { 0 } else { INVALID_CONTEXT };
        let no_info = if thread.times.is_some() { 0 } else { INVALID_INFO };
        let times = thread.times.unwrap_or_default();
        out.u32(thread.id).u32(no_context | no_info).u32(0).u32(STILL_ACTIVE);
        out.u64(file_time(times.create_ns)).u64(0);
        out.u64(times.kernel_ns.div_euclid(100)).u64(times.user_ns.div_euclid(100));
        out.u64(0).u64(times.affinity);
    }
    out.into_bytes()
}

/// From nanoseconds since 1970 to Windows' `FILETIME`; 0 stays 0.
fn file_time(unix_ns: u64) -> u64 {
    if unix_ns == 0 {
        return 0;
    }
    unix_ns.div_euclid(100).saturating_add(EPOCH_S.saturating_mul(TICKS_PER_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_the_specified_size_and_order() {
        let times =
            ThreadTimes { create_ns: 1_000_000_000, kernel_ns: 700, user_ns: 900, affinity: 3 };
        let known = ThreadInfo { id: 5, has_context: true, times: Some(times) };
        let bytes = encode(&[known, ThreadInfo { id: 6, ..Default::default() }]);
        assert_eq!(bytes.len(), 12 + 2 * 64);
        let word = |at: usize| u64::from_le_bytes(*bytes[12 + at..].first_chunk().unwrap());
        // 1970-01-01 00:00:01 as FILETIME.
        assert_eq!(word(16), 116_444_736_010_000_000);
        assert_eq!((word(32), word(40), word(56)), (7, 9, 3));
        assert_eq!((word(64) as u32, word(64) >> 32, word(80)), (6, 0x18, 0));
    }
}
