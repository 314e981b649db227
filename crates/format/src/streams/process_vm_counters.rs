//! `ProcessVmCountersStream` (22), revision 1: how much memory the process has, 80 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 2 | u16 | Revision | 1 |
//! | 4 | 4 | u32 | PageFaultCount | minor and major faults |
//! | 8 | 8 | u64 | PeakWorkingSetSize | `VmHWM` in bytes |
//! | 16 | 8 | u64 | WorkingSetSize | `VmRSS` in bytes |
//! | 24 | 32 | u64[4] | quotas | 0 |
//! | 56 | 8 | u64 | PagefileUsage | `VmSize` in bytes |
//! | 64 | 8 | u64 | PeakPagefileUsage | `VmPeak` in bytes |
//! | 72 | 8 | u64 | PrivateUsage | `RssAnon` and `VmSwap` in bytes |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_PROCESS_VM_COUNTERS_1`; proc_pid_status(5).

use crate::Writer;

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VmCounters {
    /// Page faults.
    pub faults: u32,
    /// Most memory it ever had.
    pub peak_resident: u64,
    /// Memory it has.
    pub resident: u64,
    /// Address space.
    pub size: u64,
    /// Largest address space it ever had.
    pub peak_size: u64,
    /// Memory that is its own.
    pub private: u64,
}

/// Encodes the stream.
#[must_use]
pub fn encode(counters: &VmCounters) -> Vec<u8> {
    let mut out = Writer::new();
    out.u16(1).u16(0).u32(counters.faults).u64(counters.peak_resident).u64(counters.resident);
    out.raw(&[0; 32]).u64(counters.size).u64(counters.peak_size).u64(counters.private);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_the_specified_size() {
        let bytes = encode(&VmCounters { private: 0x7F, resident: 5, ..Default::default() });
        assert_eq!((bytes.len(), bytes[0], bytes[16], bytes[72]), (80, 1, 5, 0x7F));
    }
}
