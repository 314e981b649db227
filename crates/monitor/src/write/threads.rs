//! The event, the threads, their registers and stacks.

use std::io;

use lastwords_format::context::amd64::Registers;
use lastwords_format::streams::assertion_info::Assertion;
use lastwords_format::streams::memory_list::MemoryRange;
use lastwords_format::streams::thread_info_list::ThreadInfo;
use lastwords_format::streams::{
    exception, stream_type, thread_info_list, thread_list, thread_names,
};
use lastwords_format::{Location, Sink};

use super::{DumpWriter, StreamResult, sanitized};
use crate::os::linux::read_available;
use crate::plan::DumpFlags;
use crate::snapshot::Crash;

/// Most bytes of one stack; what is cut off is the oldest end.
const MOST_STACK: u64 = 2 * 1024 * 1024;
const LEAST_STACK: u64 = 16 * 1024;
/// What is scanned for addresses of the crashing thread's stack, and of each other stack.
const SCANNED: (usize, usize) = (16 * 1024, 2 * 1024);
/// Starts of the messages that the C library itself has for an abort: they hold no data of the
/// program (`malloc/malloc.c`, `debug/`).
const OWN_WORDS: &[&str] = &[
    "*** ",
    "free()",
    "malloc",
    "realloc()",
    "calloc",
    "double free",
    "corrupted",
    "munmap_chunk()",
];

impl DumpWriter<'_> {
    pub(super) fn exception(&mut self, crash: &Crash) -> StreamResult {
        let context = self.context(&crash.registers)?;
        let record = exception::Exception {
            thread_id: crash.thread_id,
            signal: crash.signal.cast_unsigned(),
            code: crash.code.cast_unsigned(),
            address: crash.address.unwrap_or(crash.registers.rip),
            access: crash.access,
            context,
        };
        self.dump.add_stream(stream_type::EXCEPTION, &exception::encode(&record))?;
        match crash.abort_message.as_deref().and_then(|message| self.assertion(message)) {
            Some(assertion) => {
                self.dump.add_stream(stream_type::ASSERTION_INFO, &assertion.encode())
            }
            None => Ok(()),
        }
    }

    /// Of a triage dump, only what the C library says in its own words, and the text of an
    /// assertion, which is source code.
    fn assertion(&self, message: &str) -> Option<Assertion> {
        let mut assertion = Assertion::parse(message);
        let Some(paths) = &self.paths else { return Some(assertion) };
        assertion.file = paths.path(&assertion.file);
        let is_own = OWN_WORDS.iter().any(|start| message.starts_with(start));
        (assertion.line > 0 || is_own).then_some(assertion)
    }

    fn context(&mut self, registers: &Registers) -> io::Result<Location> {
        if !self.flags.contains(DumpFlags::FILTER_MEMORY) {
            return self.dump.append(&registers.encode());
        }
        let snapshot = self.snapshot;
        let kept = sanitized::registers(registers, |address| snapshot.is_mapped(address));
        self.dump.append(&kept.encode())
    }

    pub(super) fn threads(&mut self) -> StreamResult {
        let snapshot = self.snapshot;
        let mut threads = Vec::new();
        for thread in snapshot.threads() {
            let mut record = thread_list::Thread { id: thread.id, ..Default::default() };
            if let Some(registers) = &thread.registers {
                record.teb = registers.fs_base;
                record.context = self.context(registers)?;
                record.stack = self.stack(thread.id, registers.rsp)?;
            }
            threads.push(record);
        }
        self.dump.add_stream(stream_type::THREAD_LIST, &thread_list::encode(&threads))
    }

    fn stack(&mut self, thread: u32, stack_pointer: u64) -> io::Result<MemoryRange> {
        let place = || format!("stack of thread {thread}");
        let Some((start, end)) = self.snapshot.stack_bounds(stack_pointer) else {
            let message = format!("the stack pointer {stack_pointer:#x} points to no stack");
            self.soft_errors.add("stack_not_found", place(), message);
            return Ok(MemoryRange { start: stack_pointer, data: Location::default() });
        };
        if !self.has_room {
            return Ok(MemoryRange { start, data: Location::default() });
        }
        let length = end.saturating_sub(start);
        let most = if self.is_late() { 0 } else { self.stacks_left.clamp(LEAST_STACK, MOST_STACK) };
        if length > most {
            let message = format!("{length} bytes deep, cut after {most}");
            self.soft_errors.add("stack_cut", place(), message);
        }
        let mut bytes = read_available(self.snapshot.memory(), start, length.min(most));
        self.stacks_left = self.stacks_left.saturating_sub(length.min(most));
        if bytes.is_empty() {
            self.soft_errors.add("stack_not_read", place(), format!("nothing at {start:#x}"));
        }
        self.note_words(&bytes);
        if self.flags.contains(DumpFlags::FILTER_MEMORY) {
            let snapshot = self.snapshot;
            sanitized::stack(start, &mut bytes, |address| snapshot.is_mapped(address));
        }
        let range = MemoryRange { start, data: self.dump.append(&bytes)? };
        self.memory.push(range);
        Ok(range)
    }

    /// Keeps the words of the newest part of a stack, for what they point to.
    fn note_words(&mut self, bytes: &[u8]) {
        let (crashing, other) = SCANNED;
        let length = if self.stack_words.is_empty() { crashing } else { other };
        let words = bytes.get(..length).unwrap_or(bytes).chunks_exact(size_of::<u64>());
        let words = words.filter_map(|word| word.first_chunk());
        self.stack_words.extend(words.map(|word| u64::from_le_bytes(*word)));
    }

    pub(super) fn thread_info(&mut self) -> StreamResult {
        let info = |thread: &crate::snapshot::ThreadSnapshot| ThreadInfo {
            id: thread.id,
            has_context: thread.registers.is_some(),
            times: self.snapshot.thread_times(thread.id),
        };
        let threads: Vec<ThreadInfo> = self.snapshot.threads().iter().map(info).collect();
        self.dump.add_stream(stream_type::THREAD_INFO_LIST, &thread_info_list::encode(&threads))
    }

    pub(super) fn thread_names(&mut self) -> StreamResult {
        let told = |name: &String| match &self.paths {
            Some(paths) => paths.text(name),
            None => name.clone(),
        };
        let threads = self.snapshot.threads().iter();
        let names: Vec<(u32, String)> =
            threads.filter_map(|thread| Some((thread.id, told(thread.name.as_ref()?)))).collect();
        let names: Vec<(u32, &str)> = names.iter().map(|(id, name)| (*id, name.as_str())).collect();
        let stream = thread_names::encode(&mut self.dump, &names)?;
        self.dump.add_stream(stream_type::THREAD_NAMES, &stream)
    }
}
