//! Streams of which the file does not hold all: it was cut off, or its directory lies.
//!
//! Most of them are not missed by anybody who reads the dump, so without this a dump that lost
//! its memory list would look like one that never had it.

use minidump::Minidump;

use crate::private;
use crate::soft_errors::SoftErrors;

/// Streams whose readers say themselves that they cannot be read: ThreadList, ModuleList,
/// Exception, SystemInfo, and our own.
const SAID_ELSEWHERE: &[u32] = &[
    3,
    4,
    6,
    7,
    lastwords_format::streams::stream_type::LASTWORDS_PYTHON,
    private::METADATA.0,
    private::BREADCRUMBS.0,
    private::THROWS.0,
    private::PYTHON_DETAILS.0,
];

/// Names of streams (`MINIDUMP_STREAM_TYPE`, Breakpad's `MDStreamType`).
const NAMES: &[(u32, &str)] = &[
    (5, "MemoryList"),
    (9, "Memory64List"),
    (10, "CommentA"),
    (11, "CommentW"),
    (12, "HandleData"),
    (14, "UnloadedModuleList"),
    (15, "MiscInfo"),
    (16, "MemoryInfoList"),
    (17, "ThreadInfoList"),
    (24, "ThreadNames"),
    (0x4350_0001, "CrashpadInfo"),
    (0x4767_0001, "BreakpadInfo"),
    (0x4767_0003, "LinuxCpuInfo"),
    (0x4767_0004, "LinuxProcStatus"),
    (0x4767_0005, "LinuxLsbRelease"),
    (0x4767_0006, "LinuxCmdLine"),
    (0x4767_0007, "LinuxEnviron"),
    (0x4767_0008, "LinuxAuxv"),
    (0x4767_0009, "LinuxMaps"),
    (0x4767_000A, "LinuxDsoDebug"),
    (0x4C57_0006, "LastwordsKernel"),
    (0x4D7A_0004, "MozSoftErrors"),
];

/// Notes every stream that ends behind the end of a file of `file_size` bytes.
pub(crate) fn note(dump: &Minidump<'_, &[u8]>, file_size: usize, soft_errors: &mut SoftErrors) {
    let file_size = u64::try_from(file_size).unwrap_or(u64::MAX);
    let mut cut: Vec<(u32, u64)> = dump
        .all_streams()
        .filter(|stream| stream.stream_type != 0 && stream.location.data_size > 0)
        .filter(|stream| !SAID_ELSEWHERE.contains(&stream.stream_type))
        .map(|stream| {
            let (start, size) = (stream.location.rva, stream.location.data_size);
            (stream.stream_type, u64::from(start).saturating_add(u64::from(size)))
        })
        .filter(|(_, end)| *end > file_size)
        .collect();
    cut.sort_unstable();
    for (stream_type, end) in cut {
        let message = format!("the stream ends at {end}, the file after {file_size} bytes");
        soft_errors.push("stream_malformed", format!("stream {}", name(stream_type)), message);
    }
}

fn name(stream_type: u32) -> String {
    let known = NAMES.iter().find(|(number, _)| *number == stream_type);
    known.map_or_else(|| format!("0x{stream_type:08x}"), |(_, name)| (*name).to_owned())
}
