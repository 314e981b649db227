//! From a snapshot to a dump: the streams in the order of their worth, the safe ones first.
//!
//! One file per group of streams in this folder. What memory a kind of dump holds is decided in
//! `memory_choice.rs`; `memory_list.rs` and `memory64.rs` write it. What is taken out of a dump that
//! leaves the house: `sanitized.rs` (stacks, registers), `labels.rs` (texts), `crate::paths`.

mod additions;
mod callback;
mod extended_state;
mod flags_told;
mod kernel;
mod labels;
mod memory64;
mod memory_choice;
mod memory_list;
mod process;
mod python;
mod python_details;
mod sanitized;
mod threads;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use lastwords_format::Location;
use lastwords_format::streams::memory_list::MemoryRange;
use lastwords_format::streams::module_list::Module;

pub use self::labels::Labels;

use self::memory_choice::{Reason, Wanted};
use crate::dump_file::DumpFile;
use crate::paths::PathScrubber;
use crate::plan::{DumpFlags, DumpKind};
use crate::snapshot::{Crash, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;

/// Most bytes of all stacks together; after that, only the newest end of each is kept.
const MOST_STACKS: u64 = 256 * 1024 * 1024;

/// Writes a dump.
pub struct DumpWriter<'a> {
    snapshot: &'a dyn ProcessSnapshot,
    dump: DumpFile,
    kind: &'a DumpKind,
    flags: DumpFlags,
    /// What takes the user out of paths, in dumps that shall not tell who that is.
    paths: Option<PathScrubber>,
    deadline: Option<Instant>,
    /// Whether values of Python's local variables are told.
    python_locals: bool,
    soft_errors: &'a mut SoftErrors,
    stacks_left: u64,
    /// False when the stacks did not fit on the disk.
    has_room: bool,
    /// Memory that is in the file already.
    memory: Vec<MemoryRange>,
    /// Memory that other streams need beside them.
    wanted: Vec<Wanted>,
    /// Words on the newest parts of stacks, those of the crashing thread first.
    stack_words: Vec<u64>,
    modules: Vec<Module>,
}

type StreamResult = io::Result<()>;

impl<'a> DumpWriter<'a> {
    /// Writes into a file that holds only its header yet. After `deadline` no further stream is
    /// begun.
    pub fn new(
        snapshot: &'a dyn ProcessSnapshot,
        dump: DumpFile,
        kind: &'a DumpKind,
        deadline: Option<Instant>,
        soft_errors: &'a mut SoftErrors,
    ) -> Self {
        let flags = kind.flags();
        let is_filtered = flags.contains(DumpFlags::FILTER_MODULE_PATHS);
        let paths = is_filtered.then(|| PathScrubber::new(snapshot.personal()));
        Self {
            snapshot,
            dump,
            kind,
            flags,
            paths,
            deadline,
            python_locals: false,
            soft_errors,
            stacks_left: MOST_STACKS,
            has_room: true,
            memory: Vec::new(),
            wanted: Vec::new(),
            stack_words: Vec::new(),
            modules: Vec::new(),
        }
    }

    /// Tells values of Python's local variables, too; of kinds that hold no such things, not.
    #[must_use]
    pub fn with_python_locals(mut self, is_wanted: bool) -> Self {
        self.python_locals = is_wanted;
        self
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
        self.note_flags();
        self.step("exception", |w| w.exception(crash));
        if !self.step("threads", Self::threads) {
            self.has_room = false;
            self.step("threads without stacks", Self::threads);
        }
        self.step("modules", |w| w.modules(crash));
        self.step("system info", Self::system_info);
        self.step("misc info", Self::misc_info);
        self.step("thread names", Self::thread_names);
        self.step("annotations", |w| w.annotations(labels));
        self.step("python", |w| w.python(python, crash));
        if let DumpKind::Callback(library) = self.kind {
            self.step("callback", |w| w.callback(library, crash));
        }
        self.step("additions", |w| w.additions(labels));
        let choice = self.choose_memory(crash);
        self.step("memory", |w| w.memory_list(&choice.small));
        self.step("comments", |w| w.comments(labels));
        self.step("metadata", |w| w.metadata(labels));
        self.step("throws", |w| w.throws(labels));
        self.facts();
        self.note_soft_errors();
        // Behind everything else: its bytes may reach beyond the 4 GiB that other streams can
        // point to, and the process need not stand still for them any more.
        if !choice.large.is_empty() {
            self.step("memory64", |w| w.memory64(&choice.large));
        }
        self.dump
    }

    /// What is good to know, and can be done without.
    fn facts(&mut self) {
        if self.flags.contains(DumpFlags::WITH_FULL_MEMORY_INFO) {
            self.step("memory info", Self::memory_info);
        }
        if self.flags.contains(DumpFlags::WITH_THREAD_INFO) {
            self.step("thread info", Self::thread_info);
        }
        if self.flags.contains(DumpFlags::WITH_AVX_X_STATE_CONTEXT) {
            self.step("extended state", Self::extended_state);
        }
        self.step("linux", Self::platform_streams);
        self.step("dso debug", Self::dso_debug);
        if self.flags.contains(DumpFlags::WITH_HANDLE_DATA) {
            self.step("handles", Self::handles);
        }
        self.step("memory counters", Self::vm_counters);
        if matches!(self.kind, DumpKind::Kernel) {
            self.step("kernel stacks", Self::kernel_stacks);
        }
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

    /// The list of what is missing is written whatever the time.
    fn note_soft_errors(&mut self) {
        let deadline = self.deadline.take();
        self.step("soft errors", Self::soft_errors);
        self.deadline = deadline;
    }
}
