//! From a snapshot to a dump: the streams in the order of their worth, the safe ones first.
//!
//! One file per group of streams in this folder. What memory a kind of dump holds is decided in
//! `memory_choice.rs`; `memory_list.rs` and `memory64.rs` write it.

mod labels;
mod memory64;
mod memory_choice;
mod memory_list;
mod process;
mod python;
mod threads;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use lastwords_format::Location;
use lastwords_format::streams::memory_list::MemoryRange;

pub use self::labels::Labels;

use self::memory_choice::{Reason, Wanted};
use crate::dump_file::DumpFile;
use crate::plan::{DumpFlags, DumpKind};
use crate::snapshot::{Crash, ProcessSnapshot, PythonTarget};
use crate::soft_errors::SoftErrors;

/// Most bytes of all stacks together; after that, only the newest end of each is kept.
const MOST_STACKS: u64 = 256 * 1024 * 1024;

/// Writes a dump.
pub struct DumpWriter<'a> {
    snapshot: &'a dyn ProcessSnapshot,
    dump: DumpFile,
    flags: DumpFlags,
    deadline: Option<Instant>,
    soft_errors: &'a mut SoftErrors,
    stacks_left: u64,
    /// False when the stacks did not fit on the disk.
    has_room: bool,
    /// Memory that is in the file already.
    memory: Vec<MemoryRange>,
    /// Memory that other streams need beside them.
    wanted: Vec<Wanted>,
}

type StreamResult = io::Result<()>;

impl<'a> DumpWriter<'a> {
    /// Writes into a file that holds only its header yet. After `deadline` no further stream is
    /// begun.
    pub fn new(
        snapshot: &'a dyn ProcessSnapshot,
        dump: DumpFile,
        kind: &DumpKind,
        deadline: Option<Instant>,
        soft_errors: &'a mut SoftErrors,
    ) -> Self {
        Self {
            snapshot,
            dump,
            flags: kind.flags(),
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
        let choice = self.choose_memory(crash);
        self.step("memory", |w| w.memory_list(&choice.small));
        self.step("memory info", Self::memory_info);
        self.step("linux", Self::platform_streams);
        self.step("dso debug", Self::dso_debug);
        self.note_soft_errors();
        // Behind everything else: its bytes may reach beyond the 4 GiB that other streams can
        // point to, and the process need not stand still for them any more.
        if !choice.large.is_empty() {
            self.step("memory64", |w| w.memory64(&choice.large));
        }
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

    /// The list of what is missing is written whatever the time.
    fn note_soft_errors(&mut self) {
        let deadline = self.deadline.take();
        self.step("soft errors", Self::soft_errors);
        self.deadline = deadline;
    }
}
