//! What kind of dump this is, and what it cannot answer: the key `lastwords.dump`.

use minidump::Minidump;
use serde_json::{Value, json};

use crate::comments;
use crate::python::hex;
use crate::time;

/// `MINIDUMP_TYPE` (`minidumpapiset.h`).
const FLAGS: &[(u64, &str)] = &[
    (0x1, "MiniDumpWithDataSegs"),
    (FULL_MEMORY, "MiniDumpWithFullMemory"),
    (0x4, "MiniDumpWithHandleData"),
    (0x8, "MiniDumpFilterMemory"),
    (0x10, "MiniDumpScanMemory"),
    (0x20, "MiniDumpWithUnloadedModules"),
    (0x40, "MiniDumpWithIndirectlyReferencedMemory"),
    (0x80, "MiniDumpFilterModulePaths"),
    (0x100, "MiniDumpWithProcessThreadData"),
    (PRIVATE_MEMORY, "MiniDumpWithPrivateReadWriteMemory"),
    (0x400, "MiniDumpWithoutOptionalData"),
    (0x800, "MiniDumpWithFullMemoryInfo"),
    (0x1000, "MiniDumpWithThreadInfo"),
    (0x2000, "MiniDumpWithCodeSegs"),
    (0x4000, "MiniDumpWithoutAuxiliaryState"),
    (0x8000, "MiniDumpWithFullAuxiliaryState"),
    (WRITE_COPY, "MiniDumpWithPrivateWriteCopyMemory"),
    (0x2_0000, "MiniDumpIgnoreInaccessibleMemory"),
    (0x4_0000, "MiniDumpWithTokenInformation"),
    (0x8_0000, "MiniDumpWithModuleHeaders"),
    (TRIAGE, "MiniDumpFilterTriage"),
    (0x20_0000, "MiniDumpWithAvxXStateContext"),
    (0x40_0000, "MiniDumpWithIptTrace"),
    (0x80_0000, "MiniDumpScanInaccessiblePartialPages"),
    (0x100_0000, "MiniDumpFilterWriteCombinedMemory"),
];
const DATA_SEGMENTS: u64 = 0x1;
const FULL_MEMORY: u64 = 0x2;
const PRIVATE_MEMORY: u64 = 0x200;
const WRITE_COPY: u64 = 0x1_0000;
const TRIAGE: u64 = 0x10_0000;

const MEMORY_64_LIST: u32 = 9;

/// Streams, any of which answers a question; the word for it when there is none of them.
const LACKS: &[(&str, &[u32])] = &[
    ("handles", &[12]),
    ("memory_map", &[16, 0x4767_0009]),
    ("thread_times", &[17]),
    ("thread_names", &[24]),
];

/// The kind as our own writer names it in its metadata; else what the header's flags say.
pub(crate) fn to_json(
    dump: &Minidump<'_, &[u8]>,
    metadata: Option<&Value>,
    of_writer: Option<&Value>,
) -> Value {
    let flags = flags_of(dump);
    let said = metadata.and_then(|metadata| metadata.get("dump_kind"));
    let said = said.filter(|kind| kind.is_string());
    let names = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    let seconds = dump.header.time_date_stamp;
    json!({
        "kind": said.cloned().unwrap_or_else(|| kind_of(flags).into()),
        "flags": hex(flags),
        "flag_names": names.collect::<Vec<_>>(),
        "created": (seconds != 0).then(|| time::from_unix(seconds.into())),
        "comments": comments::read(dump),
        "is_cut": metadata.map(|_| is_cut(of_writer)),
        "lacks": lacks(dump, flags),
    })
}

/// Whether our writer notes, among what it could not have, that it left memory out.
fn is_cut(of_writer: Option<&Value>) -> bool {
    let errors = of_writer.and_then(Value::as_array).into_iter().flatten();
    let mut codes = errors.filter_map(|error| error.get("code")?.as_str());
    codes.any(|code| code == "memory_cut")
}

/// Writers that leave the header's flags at 0 have only full dumps with a Memory64List.
fn flags_of(dump: &Minidump<'_, &[u8]>) -> u64 {
    let has_all_memory = dump.get_raw_stream(MEMORY_64_LIST).is_ok();
    match dump.header.flags {
        0 if has_all_memory => FULL_MEMORY,
        flags => flags,
    }
}

fn kind_of(flags: u64) -> &'static str {
    match flags {
        flags if flags & TRIAGE != 0 => "triage",
        flags if flags & FULL_MEMORY != 0 => "full",
        flags if flags & (PRIVATE_MEMORY | WRITE_COPY) != 0 => "custom",
        _ => "mini",
    }
}

/// What nobody can find in this dump, however good the tool.
fn lacks(dump: &Minidump<'_, &[u8]>, flags: u64) -> Vec<&'static str> {
    let has = |stream_type: &u32| dump.get_raw_stream(*stream_type).is_ok();
    let mut lacks = Vec::new();
    if flags & (FULL_MEMORY | PRIVATE_MEMORY) == 0 {
        lacks.push("heap");
    }
    if flags & (FULL_MEMORY | DATA_SEGMENTS | WRITE_COPY) == 0 {
        lacks.push("globals");
    }
    let absent = LACKS.iter().filter(|(_, streams)| !streams.iter().any(has));
    lacks.extend(absent.map(|(word, _)| *word));
    lacks
}
