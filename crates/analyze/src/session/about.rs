//! What the dump says of itself, of the system and of the process; its exception, streams, handles.

use minidump::{MinidumpHandleDataStream, MinidumpMiscInfo};
use serde_json::{Value, json};

use super::debuggee::Debuggee;
use crate::panics::caught;
use crate::{comments, time};

/// Handles and streams shown: a process has some thousands, a dump some dozens.
const MAX_HANDLES: usize = 65_536;

impl Debuggee<'_> {
    pub(super) fn about(&self) -> Value {
        let system = &self.state.system_info;
        let raw = self.threads.system.as_ref().map(|system| &system.raw);
        let misc = self.dump.get_stream::<MinidumpMiscInfo>().ok();
        let misc = misc.as_ref().map(|misc| &misc.raw);
        let process_times = misc.and_then(|misc| misc.process_create_time().copied());
        json!({
            "path": self.path.display().to_string(),
            "flags": self.dump.header.flags,
            "time": self.dump.header.time_date_stamp,
            "stream_count": self.dump.header.stream_count,
            "directory_rva": self.dump.header.stream_directory_rva,
            "version": self.dump.header.version,
            "checksum": self.dump.header.checksum,
            "size_bytes": self.file.size_bytes(),
            "os": system.os.to_string(),
            "os_version": system.os_version,
            "os_build": system.os_build,
            "cpu": system.cpu.to_string(),
            "cpu_info": system.cpu_info,
            "cpu_count": system.cpu_count,
            "major_version": raw.map(|raw| raw.major_version),
            "minor_version": raw.map(|raw| raw.minor_version),
            "build_number": raw.map(|raw| raw.build_number),
            "platform_id": raw.map(|raw| raw.platform_id),
            "product_type": raw.map(|raw| raw.product_type),
            "pointer_bytes": self.pointer_bytes(),
            "process_id": self.state.process_id,
            "create_time": process_times,
            "user_time_s": misc.and_then(|misc| misc.process_user_time().copied()),
            "kernel_time_s": misc.and_then(|misc| misc.process_kernel_time().copied()),
            "comments": comments::read(self.dump),
            "kind": crate::dump_kind::to_json(self.dump, None, None),
            "crash_reason": self.state.exception_info.as_ref().map(|info| info.reason.to_string()),
            "crash_address": self.state.exception_info.as_ref().map(|info| info.address.0),
            "requesting_thread": self.threads.requesting_thread(),
            "thread_count": self.threads.list.len(),
            "linux_command": self.linux_command(),
            "has_python": self.stream.is_some(),
            "problems": self.provider.problems().into_iter().map(|problem| json!({
                "path": problem.path.display().to_string(), "message": problem.message,
            })).collect::<Vec<_>>(),
            "soft_errors": self.soft_errors,
        })
    }

    /// `/proc/PID/cmdline` (Breakpad's stream 0x47670006).
    fn linux_command(&self) -> Option<String> {
        let bytes = self.dump.get_raw_stream(0x4767_0006).ok()?;
        let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(4096))?).replace('\0', " ");
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn exception(&self) -> Value {
        let Some(exception) = &self.threads.exception else { return Value::Null };
        let record = &exception.raw.exception_record;
        let count = usize::try_from(record.number_parameters).unwrap_or(0);
        let parameters: Vec<u64> =
            record.exception_information.iter().copied().take(count).collect();
        json!({
            "thread": self.threads.requesting_thread(),
            "thread_id": exception.thread_id,
            "code": record.exception_code,
            "flags": record.exception_flags,
            "record": record.exception_record,
            "address": record.exception_address,
            "parameters": parameters,
            "reason": self.state.exception_info.as_ref().map(|info| info.reason.to_string()),
            "crash_address": self.state.exception_info.as_ref().map(|info| info.address.0),
        })
    }

    pub(super) fn streams(&self) -> Value {
        let mut list: Vec<(u32, u32, u32)> = self
            .dump
            .all_streams()
            .map(|entry| (entry.location.rva, entry.stream_type, entry.location.data_size))
            .collect();
        list.sort_unstable();
        let list: Vec<Value> = list
            .into_iter()
            .map(|(rva, stream_type, size)| json!({"type": stream_type, "rva": rva, "size": size}))
            .collect();
        json!(list)
    }

    pub(super) fn handles(&self) -> Value {
        let found = caught(|| self.dump.get_stream::<MinidumpHandleDataStream>());
        let Some(handles) = found.ok().and_then(Result::ok) else { return Value::Null };
        let list: Vec<Value> = handles
            .handles
            .iter()
            .take(MAX_HANDLES)
            .map(|handle| {
                json!({
                    "handle": handle.raw.handle(),
                    "type": handle.type_name,
                    "name": handle.object_name,
                    "attributes": handle.raw.attributes(),
                    "granted_access": handle.raw.granted_access(),
                    "handle_count": handle.raw.handle_count(),
                    "pointer_count": handle.raw.pointer_count(),
                })
            })
            .collect();
        json!({"handles": list, "left_out": handles.handles.len().saturating_sub(MAX_HANDLES)})
    }

    /// Times of a thread, where the dump has them.
    pub(super) fn thread_times(&self, id: u32) -> Value {
        let list = self.dump.get_stream::<minidump::MinidumpThreadInfoList>().ok();
        let Some(info) = list.as_ref().and_then(|list| list.get_thread_info(id)) else {
            return Value::Null;
        };
        json!({
            "create_time": time::from_filetime(info.raw.create_time),
            "start_address": info.raw.start_address,
            "user_s": time::seconds_of(info.raw.user_time),
            "kernel_s": time::seconds_of(info.raw.kernel_time),
        })
    }
}
