//! From a snapshot to a dump: the streams in the order of their worth, the safe ones first.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use lastwords_format::streams::assertion_info::Assertion;
use lastwords_format::streams::memory_list::MemoryRange;
use lastwords_format::streams::{
    crashpad_info, exception, linux_dso_debug, memory_info_list, memory_list, misc_info,
    module_list, stream_type, system_info, thread_list, thread_names,
};
use lastwords_format::{Location, Sink};
use lastwords_pyframes::{Limits, Memory, RecordingMemory, Target, read_python};

use crate::dump_file::DumpFile;
use crate::os::linux::read_available;
use crate::ranges;
use crate::snapshot::{Crash, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;

/// Most bytes of one stack; what is cut off is the oldest end.
const MOST_STACK: u64 = 2 * 1024 * 1024;
/// Most bytes of all stacks together; after that, only the newest end of each is kept.
const MOST_STACKS: u64 = 256 * 1024 * 1024;
const LEAST_STACK: u64 = 16 * 1024;
/// Memory before and behind the faulting instruction.
const CODE_WINDOW: u64 = 256;
/// Memory before and behind what a register of the crashing thread points to.
const POINTER_WINDOW: (u64, u64) = (128, 512);
/// Most evidence behind the Python stream.
const MOST_EVIDENCE: u64 = 4 * 1024 * 1024;
const MOST_EVIDENCE_RANGES: usize = 20_000;
/// `MiniDumpWithFullMemoryInfo`: the memory info list is there.
pub const MINIDUMP_FLAGS: u64 = 0x800;

/// What goes into the dump besides the process itself.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Report id, UUID bytes.
    pub report_id: [u8; 16],
    /// Client id, UUID bytes.
    pub client_id: [u8; 16],
    /// Key, value.
    pub annotations: Vec<(String, String)>,
}

/// Writes a dump.
pub struct DumpWriter<'a> {
    snapshot: &'a dyn ProcessSnapshot,
    dump: DumpFile,
    deadline: Option<Instant>,
    soft_errors: &'a mut SoftErrors,
    stacks_left: u64,
    /// False when the stacks did not fit on the disk.
    has_room: bool,
    memory: Vec<MemoryRange>,
    wanted: Vec<Range<u64>>,
}

type StreamResult = io::Result<()>;

impl<'a> DumpWriter<'a> {
    /// Writes into a file that holds only its header yet. After `deadline` no further stream is
    /// begun.
    pub fn new(
        snapshot: &'a dyn ProcessSnapshot,
        dump: DumpFile,
        deadline: Option<Instant>,
        soft_errors: &'a mut SoftErrors,
    ) -> Self {
        Self {
            snapshot,
            dump,
            deadline,
            soft_errors,
            stacks_left: MOST_STACKS,
            has_room: true,
            memory: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// Writes every stream that can be had, and gives the finished file back. A failed stream
    /// is a soft error.
    #[must_use]
    pub fn write(
        mut self,
        crash: &Crash,
        python: Option<PythonTarget>,
        labels: &Labels,
    ) -> DumpFile {
        self.step("exception", |w| w.exception(crash));
        if !self.step("threads", Self::threads) {
            self.has_room = false;
            self.step("threads without stacks", Self::threads);
        }
        self.step("modules", Self::modules);
        self.step("system info", Self::system_info);
        self.step("misc info", Self::misc_info);
        self.step("thread names", Self::thread_names);
        self.step("annotations", |w| w.annotations(labels));
        self.step("python", |w| w.python(python));
        self.want_near(crash);
        self.step("memory", Self::memory);
        self.step("memory info", Self::memory_info);
        self.step("linux", Self::platform_streams);
        self.step("dso debug", Self::dso_debug);
        // The list of what is missing is the last, whatever the time.
        self.deadline = None;
        self.step("soft errors", Self::soft_errors);
        self.dump
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// Writes one stream, whole or not at all; whether it is there. A defect of ours that foreign
    /// data brings to light costs the one stream.
    fn step(&mut self, stream: &str, write: impl FnOnce(&mut Self) -> StreamResult) -> bool {
        if self.is_late() {
            let place = format!("stream {stream}");
            self.soft_errors.add("budget_spent", place, "no time was left to write it");
            return false;
        }
        let written = catch_unwind(AssertUnwindSafe(|| write(self)));
        let written = written.unwrap_or_else(|_| Err(io::Error::other("its writer panicked")));
        let Err(error) = written else { return true };
        self.soft_errors.add("stream_not_written", format!("stream {stream}"), error);
        let end = self.dump.rewind();
        let is_kept = |data: &Location| u64::from(data.rva).saturating_add(data.size.into()) <= end;
        self.memory.retain(|range| is_kept(&range.data));
        false
    }

    fn exception(&mut self, crash: &Crash) -> StreamResult {
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

    fn threads(&mut self) -> StreamResult {
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

    fn modules(&mut self) -> StreamResult {
        let modules = self.snapshot.modules(self.soft_errors);
        let stream = module_list::encode(&mut self.dump, &modules)?;
        self.dump.add_stream(stream_type::MODULE_LIST, &stream)
    }

    fn system_info(&mut self) -> StreamResult {
        let info = self.snapshot.system_info(self.soft_errors);
        let stream = system_info::encode(&mut self.dump, &info)?;
        self.dump.add_stream(stream_type::SYSTEM_INFO, &stream)
    }

    fn misc_info(&mut self) -> StreamResult {
        let times = self.snapshot.times(self.soft_errors);
        let stream = misc_info::encode(self.snapshot.pid(), times);
        self.dump.add_stream(stream_type::MISC_INFO, &stream)
    }

    fn thread_names(&mut self) -> StreamResult {
        let threads = self.snapshot.threads().iter();
        let names: Vec<(u32, &str)> =
            threads.filter_map(|thread| Some((thread.id, thread.name.as_deref()?))).collect();
        let stream = thread_names::encode(&mut self.dump, &names)?;
        self.dump.add_stream(stream_type::THREAD_NAMES, &stream)
    }

    fn annotations(&mut self, labels: &Labels) -> StreamResult {
        let Labels { report_id, client_id, annotations } = labels;
        let stream = crashpad_info::encode(&mut self.dump, *report_id, *client_id, annotations)?;
        self.dump.add_stream(stream_type::CRASHPAD_INFO, &stream)
    }

    fn python(&mut self, target: Option<PythonTarget>) -> StreamResult {
        let Some(target) = target else { return Ok(()) };
        let memory = self.snapshot.memory();
        let recording = RecordingMemory::new(memory, MOST_EVIDENCE, MOST_EVIDENCE_RANGES);
        let target =
            Target { runtime_address: target.runtime_address, python_version: target.version };
        let outcome = read_python(&recording, &target, &Limits::default());
        self.wanted.extend(recording.ranges());
        if recording.is_cut() {
            self.soft_errors.add("evidence_cut", "stream python", "raw Python memory was cut");
        }
        match outcome {
            Ok(outcome) => {
                for error in outcome.soft_errors {
                    self.soft_errors.add(error.code, error.where_, error.message);
                }
                self.dump.add_stream(stream_type::LASTWORDS_PYTHON, &outcome.stream.encode())
            }
            Err(error) => {
                self.soft_errors.add("python_not_read", "stream python", error);
                Ok(())
            }
        }
    }

    /// The code around the fault, and what the registers of the crashing thread point to.
    fn want_near(&mut self, crash: &Crash) {
        let registers = &crash.registers;
        let mut wanted = vec![self.window(registers.rip, CODE_WINDOW, CODE_WINDOW)];
        let (before, behind) = POINTER_WINDOW;
        wanted.extend(registers.general().iter().map(|value| self.window(*value, before, behind)));
        self.wanted.extend(wanted.into_iter().flatten());
    }

    /// A window around an address, cut to the readable region that holds it.
    fn window(&self, address: u64, before: u64, behind: u64) -> Option<Range<u64>> {
        let region = self.snapshot.regions().iter().find(|region| {
            region.is_readable && address.wrapping_sub(region.start) < region.size
        })?;
        let end = region.start.saturating_add(region.size);
        Some(
            address.saturating_sub(before).max(region.start)
                ..address.saturating_add(behind).min(end),
        )
    }

    /// Appends what is wanted and not yet there, then the list of all memory in the dump.
    fn memory(&mut self) -> StreamResult {
        let end = |range: &MemoryRange| range.start.saturating_add(range.data.size.into());
        let taken = self.memory.iter().map(|r| r.start..end(r));
        let taken = ranges::merged(taken.chain(self.snapshot.private().iter().cloned()).collect());
        let wanted = ranges::merged(std::mem::take(&mut self.wanted));
        let mut unreadable = 0_usize;
        for range in ranges::without(&wanted, &taken) {
            if self.is_late() {
                self.soft_errors.add("budget_spent", "stream memory", "memory was left out");
                break;
            }
            let length = range.end.saturating_sub(range.start);
            let bytes = read_available(self.snapshot.memory(), range.start, length);
            if bytes.is_empty() {
                unreadable = unreadable.saturating_add(1);
                continue;
            }
            let data = self.dump.append(&bytes)?;
            self.memory.push(MemoryRange { start: range.start, data });
        }
        if unreadable > 0 {
            let message = format!("{unreadable} ranges could not be read");
            self.soft_errors.add("memory_not_read", "stream memory", message);
        }
        self.memory.retain(|range| range.data.size > 0);
        self.memory.sort_by_key(|range| range.start);
        self.dump.add_stream(stream_type::MEMORY_LIST, &memory_list::encode(&self.memory))
    }

    fn memory_info(&mut self) -> StreamResult {
        let stream = memory_info_list::encode(self.snapshot.regions());
        self.dump.add_stream(stream_type::MEMORY_INFO_LIST, &stream)
    }

    fn platform_streams(&mut self) -> StreamResult {
        for (stream_type, bytes) in self.snapshot.platform_streams(self.soft_errors) {
            self.dump.add_stream(stream_type, &bytes)?;
        }
        Ok(())
    }

    fn dso_debug(&mut self) -> StreamResult {
        let memory: &dyn Memory = self.snapshot.memory();
        let Some(debug) = self.snapshot.dso_debug(memory, self.soft_errors) else { return Ok(()) };
        let stream = linux_dso_debug::encode(&mut self.dump, &debug)?;
        self.dump.add_stream(stream_type::LINUX_DSO_DEBUG, &stream)
    }

    fn soft_errors(&mut self) -> StreamResult {
        let json = self.soft_errors.to_json().to_string();
        self.dump.add_stream(stream_type::MOZ_SOFT_ERRORS, json.as_bytes())
    }
}
