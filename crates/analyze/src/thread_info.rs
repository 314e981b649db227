//! What the dump says of each thread beside its stack: times, start address, affinity.

use std::collections::HashMap;

use minidump::{Minidump, MinidumpThreadInfoList};
use serde_json::{Map, Value, json};

use crate::panics::caught;
use crate::python::hex;
use crate::time;

/// `MINIDUMP_THREAD_INFO.DumpFlags` (`minidumpapiset.h`, `MINIDUMP_THREAD_INFO_*`).
const DUMP_FLAGS: &[(u32, &str)] = &[
    (0x1, "error_thread"),
    (0x2, "writing_thread"),
    (0x4, "exited_thread"),
    (INVALID_INFO, "invalid_info"),
    (0x10, "invalid_context"),
    (0x20, "invalid_teb"),
];

const INVALID_INFO: u32 = 0x8;

/// Fills `threads[].info` from the stream ThreadInfoList.
pub(crate) fn complete(document: &mut Map<String, Value>, dump: &Minidump<'_, &[u8]>) {
    let list = caught(|| dump.get_stream::<MinidumpThreadInfoList>()).ok().and_then(Result::ok);
    let Some(list) = list else { return };
    let Some(Value::Array(threads)) = document.get_mut("threads") else { return };
    let mut known: HashMap<u32, Value> = HashMap::new();
    for thread in threads.iter_mut().filter_map(Value::as_object_mut) {
        let id = thread.get("thread_id").and_then(Value::as_u64);
        let Some(id) = id.and_then(|id| u32::try_from(id).ok()) else { continue };
        let Some(info) = list.get_thread_info(id) else { continue };
        let info = known.entry(id).or_insert_with(|| info_json(&info.raw));
        thread.insert("info".into(), info.clone());
    }
}

fn info_json(raw: &minidump::format::MINIDUMP_THREAD_INFO) -> Value {
    let seconds = |units| (raw.dump_flags & INVALID_INFO == 0).then(|| time::seconds_of(units));
    let flags = DUMP_FLAGS.iter().filter(|(bit, _)| raw.dump_flags & bit != 0);
    json!({
        "create_time": time::from_filetime(raw.create_time),
        "exit_time": time::from_filetime(raw.exit_time),
        "user_s": seconds(raw.user_time),
        "kernel_s": seconds(raw.kernel_time),
        "start_address": (raw.start_address != 0).then(|| hex(raw.start_address)),
        "affinity": (raw.affinity != 0).then(|| hex(raw.affinity)),
        "dump_flags": flags.map(|(_, name)| *name).collect::<Vec<_>>(),
    })
}
