//! The event, the threads, their registers and stacks.

use std::io;

use lastwords_format::streams::assertion_info::Assertion;
use lastwords_format::streams::memory_list::MemoryRange;
use lastwords_format::streams::{exception, stream_type, thread_list, thread_names};
use lastwords_format::{Location, Sink};

use super::{DumpWriter, StreamResult};
use crate::os::linux::read_available;
use crate::snapshot::Crash;

/// Most bytes of one stack; what is cut off is the oldest end.
const MOST_STACK: u64 = 2 * 1024 * 1024;
const LEAST_STACK: u64 = 16 * 1024;

impl DumpWriter<'_> {
    pub(super) fn exception(&mut self, crash: &Crash) -> StreamResult {
        let context = self.dump.append(&crash.registers.encode())?;
        let record = exception::Exception {
            thread_id: crash.thread_id,
            signal: crash.signal.cast_unsigned(),
            code: crash.code.cast_unsigned(),
            address: crash.address.unwrap_or(crash.registers.rip),
            access: crash.access,
            context,
        };
        self.dump.add_stream(stream_type::EXCEPTION, &exception::encode(&record))?;
        if let Some(message) = &crash.abort_message {
            let stream = Assertion::parse(message).encode();
            self.dump.add_stream(stream_type::ASSERTION_INFO, &stream)?;
        }
        Ok(())
    }

    pub(super) fn threads(&mut self) -> StreamResult {
        let snapshot = self.snapshot;
        let mut threads = Vec::new();
        for thread in snapshot.threads() {
            let mut record = thread_list::Thread { id: thread.id, ..Default::default() };
            if let Some(registers) = &thread.registers {
                record.teb = registers.fs_base;
                record.context = self.dump.append(&registers.encode())?;
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
        let bytes = read_available(self.snapshot.memory(), start, length.min(most));
        self.stacks_left = self.stacks_left.saturating_sub(length.min(most));
        if bytes.is_empty() {
            self.soft_errors.add("stack_not_read", place(), format!("nothing at {start:#x}"));
        }
        let range = MemoryRange { start, data: self.dump.append(&bytes)? };
        self.memory.push(range);
        Ok(range)
    }

    pub(super) fn thread_names(&mut self) -> StreamResult {
        let threads = self.snapshot.threads().iter();
        let names: Vec<(u32, &str)> =
            threads.filter_map(|thread| Some((thread.id, thread.name.as_deref()?))).collect();
        let stream = thread_names::encode(&mut self.dump, &names)?;
        self.dump.add_stream(stream_type::THREAD_NAMES, &stream)
    }
}
