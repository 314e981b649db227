//! Streams that stand alone, for [`crate::Dump::raw_stream`].

/// A region of the address space: start, bytes, `PAGE_*` protection.
pub type Region = (u64, u64, u32);

/// `MINIDUMP_MEMORY_INFO_LIST` (stream 16): committed private regions.
#[must_use]
pub fn memory_info_list(regions: &[Region]) -> Vec<u8> {
    let mut out = [16_u32, 48].map(u32::to_le_bytes).concat();
    out.extend(u64::try_from(regions.len()).unwrap_or(0).to_le_bytes());
    for (start, size, protection) in regions {
        out.extend(start.to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend([*protection, 0].map(u32::to_le_bytes).concat());
        out.extend(size.to_le_bytes());
        out.extend([0x1000, *protection, 0x2_0000, 0].map(u32::to_le_bytes).concat());
    }
    out
}

/// What `MINIDUMP_THREAD_INFO` says of a thread; times in units of 100 ns.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadTimes {
    /// Kernel id of the thread.
    pub thread_id: u32,
    /// `MINIDUMP_THREAD_INFO_*` bits.
    pub dump_flags: u32,
    /// Start, since 1601 (`FILETIME`).
    pub create_time: u64,
    /// Span in the kernel.
    pub kernel_time: u64,
    /// Span outside of it.
    pub user_time: u64,
    /// Address of its first function.
    pub start_address: u64,
}

/// `MINIDUMP_THREAD_INFO_LIST` (stream 17): sizes of header and entry, count; 64 bytes each.
#[must_use]
pub fn thread_info_list(threads: &[ThreadTimes]) -> Vec<u8> {
    let count = u32::try_from(threads.len()).unwrap_or(0);
    let mut out = [12, 64, count].map(u32::to_le_bytes).concat();
    for thread in threads {
        // Dump error and exit status follow the flags; exit time and affinity stay 0 too.
        out.extend([thread.thread_id, thread.dump_flags, 0, 0].map(u32::to_le_bytes).concat());
        let times = [thread.create_time, 0, thread.kernel_time, thread.user_time];
        out.extend(times.map(u64::to_le_bytes).concat());
        out.extend([thread.start_address, 0].map(u64::to_le_bytes).concat());
    }
    out
}

/// UTF-16 in little-endian order.
#[must_use]
pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
