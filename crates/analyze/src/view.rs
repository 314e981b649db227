//! The dump as `minidump-processor` sees it: everything but the walks.
//!
//! The processor walks every thread of a dump to the end and keeps every frame, so a hostile
//! stack costs gigabytes. It walks no thread that has no context, and none that
//! `BreakpadInfo` calls the dump's own writer. For the time of one call the dump therefore
//! gets streams at its end, and a directory that names them last (where two streams have
//! one type, the last one counts; `view::tests` pins both facts):
//!
//! | stream | type | what |
//! |---|---|---|
//! | `ThreadList` | 3 | the same threads and stacks, without contexts |
//! | `BreakpadInfo` | 0x47670001 | `dump_thread_id` = the thread that would get the exception's context |
//! | `SystemInfo` | 7 | only where the dump has none: a system that is not known |
//! | those in `hidden` | | empty, so that they cannot be read |
//!
//! Walking is done afterwards, thread by thread, within limits ([`crate::walk`]).

use crate::guard;
use crate::soft_errors::SoftErrors;
use minidump::{
    Endian, Minidump, MinidumpBreakpadInfo, MinidumpException, MinidumpSystemInfo,
    MinidumpThreadList,
};

/// More than a view ever appends.
const MAX_OWN_STREAMS: u32 = 16;
const HEADER_BYTES: usize = 32;
const DIRECTORY_ENTRY_BYTES: usize = 12;
const SYSTEM_INFO_BYTES: usize = 56;
const THREAD_LIST: u32 = 3;
const SYSTEM_INFO: u32 = 7;
const BREAKPAD_INFO: u32 = 0x4767_0001;
/// Threads shown; a list of more is no process but an attack.
const MAX_THREADS: usize = 8_192;

/// What is appended, and the header that makes it count.
pub(crate) struct View {
    appended: Vec<u8>,
    /// `stream_count` and `stream_directory_rva`, as they stand at offset 8 of the header.
    header_patch: [u8; 8],
    /// Threads of the dump that the view leaves out.
    pub(crate) threads_left_out: usize,
}

struct Out {
    bytes: Vec<u8>,
    is_big_endian: bool,
}

impl Out {
    fn u16(&mut self, value: u16) {
        let bytes = if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn u32(&mut self, value: u32) {
        let bytes = if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn u64(&mut self, value: u64) {
        let bytes = if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }
}

struct Entry {
    stream_type: u32,
    size: u32,
    rva: u32,
}

impl View {
    /// Plans the view of `bytes` without the streams of the types `hidden`; `None` when offsets would not fit into 32 bits, or when the
    /// directory of the dump cannot be read.
    pub(crate) fn plan(bytes: &[u8], dump: &Minidump<'_, &[u8]>, hidden: &[u32]) -> Option<Self> {
        let threads = dump.get_stream::<MinidumpThreadList<'_>>().ok();
        let threads = threads.map(|list| list.threads).unwrap_or_default();
        let mut writer = Writer {
            base: bytes.len(),
            out: Out { bytes: Vec::new(), is_big_endian: dump.endian != Endian::Little },
            entries: Vec::new(),
        };
        let shown = threads.get(..MAX_THREADS).unwrap_or(&threads);
        writer.stream(THREAD_LIST, |out| write_threads(out, shown))?;
        writer.stream(BREAKPAD_INFO, |out| write_breakpad_info(out, dump))?;
        if dump.get_stream::<MinidumpSystemInfo>().is_err() {
            writer.stream(SYSTEM_INFO, write_unknown_system)?;
        }
        for stream_type in hidden {
            writer.stream(*stream_type, |_| {})?;
        }
        let header_patch = writer.directory(bytes, dump)?;
        Some(Self {
            appended: writer.out.bytes,
            header_patch,
            threads_left_out: threads.len().saturating_sub(shown.len()),
        })
    }

    /// Calls `work` with the view; `bytes` are as before when it returns, but for streams that
    /// had to be taken out of the directory.
    ///
    /// Offsets that led behind the end of the file lead into what is appended now, so the
    /// guard looks again. `work` must not panic: `bytes` would keep the view.
    pub(crate) fn with<T>(
        &self,
        bytes: &mut Vec<u8>,
        soft_errors: &mut SoftErrors,
        work: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let len = bytes.len();
        let kept = swap_header(bytes, self.header_patch);
        bytes.extend_from_slice(&self.appended);
        guard::apply(bytes, guard::MAX_STREAMS.saturating_add(MAX_OWN_STREAMS), soft_errors);
        let result = work(bytes);
        bytes.truncate(len);
        swap_header(bytes, kept);
        result
    }
}

/// Puts 8 bytes at offset 8 and gives back what stood there.
fn swap_header(bytes: &mut [u8], new: [u8; 8]) -> [u8; 8] {
    let mut old = new;
    if let Some(place) = bytes.get_mut(8..16) {
        old.copy_from_slice(place);
        place.copy_from_slice(&new);
    }
    old
}

struct Writer {
    base: usize,
    out: Out,
    entries: Vec<Entry>,
}

impl Writer {
    fn stream(&mut self, stream_type: u32, write: impl FnOnce(&mut Out)) -> Option<()> {
        let start = self.out.bytes.len();
        write(&mut self.out);
        let size = u32::try_from(self.out.bytes.len().checked_sub(start)?).ok()?;
        let rva = u32::try_from(self.base.checked_add(start)?).ok()?;
        self.entries.push(Entry { stream_type, size, rva });
        Some(())
    }

    /// Copies the dump's directory, adds the view's entries, and gives the header's new fields.
    fn directory(&mut self, bytes: &[u8], dump: &Minidump<'_, &[u8]>) -> Option<[u8; 8]> {
        let rva = u32::try_from(self.base.checked_add(self.out.bytes.len())?).ok()?;
        let old_count = dump.header.stream_count;
        let old_start = usize::try_from(dump.header.stream_directory_rva).ok()?;
        let old_size = usize::try_from(old_count).ok()?.checked_mul(DIRECTORY_ENTRY_BYTES)?;
        let old = bytes.get(old_start..old_start.checked_add(old_size)?)?;
        self.out.bytes.extend_from_slice(old);
        for entry in &self.entries {
            self.out.u32(entry.stream_type);
            self.out.u32(entry.size);
            self.out.u32(entry.rva);
        }
        let added = u32::try_from(self.entries.len()).ok()?;
        let mut fields =
            Out { bytes: Vec::with_capacity(8), is_big_endian: self.out.is_big_endian };
        fields.u32(old_count.checked_add(added)?);
        fields.u32(rva);
        fields.bytes.try_into().ok().filter(|_| bytes.len() >= HEADER_BYTES)
    }
}

/// `MINIDUMP_THREAD_LIST`: a count, then 48 bytes a thread; the last 8 are the context's
/// location.
fn write_threads(out: &mut Out, threads: &[minidump::MinidumpThread<'_>]) {
    out.u32(u32::try_from(threads.len()).unwrap_or(0));
    for thread in threads {
        let raw = &thread.raw;
        out.u32(raw.thread_id);
        out.u32(raw.suspend_count);
        out.u32(raw.priority_class);
        out.u32(raw.priority);
        out.u64(raw.teb);
        out.u64(raw.stack.start_of_memory_range);
        out.u32(raw.stack.memory.data_size);
        out.u32(raw.stack.memory.rva);
        out.u64(0);
    }
}

/// `MDRawBreakpadInfo`: validity (bit 0 dump thread, bit 1 requesting thread) and the two ids.
fn write_breakpad_info(out: &mut Out, dump: &Minidump<'_, &[u8]>) {
    let exception = dump.get_stream::<MinidumpException<'_>>().ok();
    let breakpad = dump.get_stream::<MinidumpBreakpadInfo>().ok();
    let requesting = exception
        .map(|exception| exception.get_crashing_thread_id())
        .or_else(|| breakpad.and_then(|info| info.requesting_thread_id));
    out.u32(if requesting.is_some() { 3 } else { 0 });
    out.u32(requesting.unwrap_or(0));
    out.u32(requesting.unwrap_or(0));
}

/// `MINIDUMP_SYSTEM_INFO` with `PROCESSOR_ARCHITECTURE_UNKNOWN` and no platform.
fn write_unknown_system(out: &mut Out) {
    out.u16(0xffff);
    out.bytes.resize(out.bytes.len().saturating_add(SYSTEM_INFO_BYTES - 2), 0);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use lastwords_synth::{Dump, Module, Stack, Thread};
    use minidump_processor::{ProcessState, ProcessorOptions, process_minidump_with_options};
    use minidump_unwind::{Symbolizer, string_symbol_supplier};

    use super::*;
    use crate::block_on::block_on;

    fn processed(bytes: &[u8]) -> ProcessState {
        let dump = Minidump::read(bytes).unwrap();
        let nothing = Symbolizer::new(string_symbol_supplier(HashMap::new()));
        let options = ProcessorOptions::stable_basic();
        block_on(process_minidump_with_options(&dump, &nothing, options)).unwrap()
    }

    fn two_threads() -> Vec<u8> {
        let one = Stack::new(0x7000_0000).frame(0x40_1000, 64).frame(0x40_2000, 64);
        let two = Stack::new(0x7100_0000).frame(0x40_1000, 64).frame(0x40_2000, 64);
        Dump::new()
            .module(Module::new("app", 0x40_0000, 0x1_0000))
            .thread(Thread::new(7, &one))
            .thread(Thread::new(8, &two))
            .crash(8, 11, 1, 0x10)
            .build()
    }

    fn viewed(bytes: &mut Vec<u8>, hidden: &[u32]) -> ProcessState {
        let view = View::plan(bytes, &Minidump::read(&bytes[..]).unwrap(), hidden).unwrap();
        view.with(bytes, &mut SoftErrors::default(), processed)
    }

    #[test]
    fn the_processor_walks_nothing_and_knows_the_rest() {
        let mut bytes = two_threads();
        let before = bytes.clone();
        let whole = processed(&bytes);
        assert!(whole.threads.iter().all(|thread| thread.frames.len() > 1), "it walks otherwise");
        let state = viewed(&mut bytes, &[]);
        assert_eq!(bytes, before, "the dump is as before");
        assert_eq!(state.threads.len(), 2);
        assert!(state.threads.iter().all(|thread| thread.frames.is_empty()));
        let reason =
            |state: &ProcessState| state.exception_info.as_ref().unwrap().reason.to_string();
        assert_eq!(reason(&state), reason(&whole));
        assert_eq!(state.modules.iter().count(), 1);
    }

    #[test]
    fn a_stream_behind_the_end_does_not_come_alive() {
        // A HandleData stream that begins where the view's thread list will stand: read as a
        // header, that says entries of size 0 and as many of them as a thread has an id.
        let mut bytes = two_threads();
        let end = u32::try_from(bytes.len()).unwrap();
        let directory = bytes.len() - 12 * 5;
        let entry = [12, 64, end].map(u32::to_le_bytes).concat();
        bytes[directory + 12..directory + 24].copy_from_slice(&entry);
        let view = View::plan(&bytes, &Minidump::read(&bytes[..]).unwrap(), &[]).unwrap();
        let mut errors = SoftErrors::default();
        guard::apply(&mut bytes, guard::MAX_STREAMS, &mut errors);
        view.with(&mut bytes, &mut errors, |_| ());
        let errors = errors.into_list();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].r#where, "stream HandleData");
    }

    #[test]
    fn a_hidden_stream_is_not_read() {
        const EXCEPTION: u32 = 6;
        let mut bytes = two_threads();
        assert!(viewed(&mut bytes, &[]).exception_info.is_some());
        assert!(viewed(&mut bytes, &[EXCEPTION]).exception_info.is_none());
    }

    #[test]
    fn a_dump_without_threads_or_system_is_processed_all_the_same() {
        let mut bytes = two_threads();
        // Both streams become unused ones.
        let directory = bytes.len() - 12 * 5;
        for entry in 0..5 {
            let at = directory + 12 * entry;
            if bytes[at] == 3 || bytes[at] == 7 {
                bytes[at] = 0;
            }
        }
        let state = viewed(&mut bytes, &[]);
        assert!(state.threads.is_empty());
        assert!(state.exception_info.is_some());
    }
}
