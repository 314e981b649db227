//! `ThreadListStream` (3): `u32` count, then per thread 48 bytes.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | ThreadId | kernel thread id |
//! | 4 | 4 | u32 | SuspendCount | 0 |
//! | 8 | 4 | u32 | PriorityClass | 0 |
//! | 12 | 4 | u32 | Priority | 0 |
//! | 16 | 8 | u64 | Teb | on Linux the thread's FS base, which is `pthread_self()` |
//! | 24 | 8 | u64 | Stack.StartOfMemoryRange | |
//! | 32 | 8 | u32, u32 | Stack.Memory | size, file offset; 0, 0 when the stack is not in the dump |
//! | 40 | 8 | u32, u32 | ThreadContext | size, file offset |
//!
//! Source: `minidumpapiset.h`, `MINIDUMP_THREAD`.

use crate::streams::memory_list::MemoryRange;
use crate::{Location, Writer};

/// One thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thread {
    /// Kernel thread id.
    pub id: u32,
    /// `pthread_self()`.
    pub teb: u64,
    /// Its stack; empty when it could not be read.
    pub stack: MemoryRange,
    /// Its registers.
    pub context: Location,
}

/// Encodes the stream.
#[must_use]
pub fn encode(threads: &[Thread]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(u32::try_from(threads.len()).unwrap_or(u32::MAX));
    for thread in threads {
        out.u32(thread.id).u32(0).u32(0).u32(0).u64(thread.teb);
        thread.stack.encode(&mut out);
        out.u32(thread.context.size).u32(thread.context.rva);
    }
    out.into_bytes()
}
