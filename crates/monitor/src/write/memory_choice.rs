//! Which memory a kind of dump holds, and why.
//!
//! Only decides: `memory_list.rs` writes what is small (`MemoryListStream`), `memory64.rs` what
//! is large (`Memory64ListStream`). What the stacks point to is found in `referenced.rs`, whole
//! areas in `areas.rs`.

mod areas;
mod referenced;

use std::ops::Range;

use lastwords_format::streams::memory_list::MemoryRange;

use super::DumpWriter;
use crate::plan::DumpFlags;
use crate::ranges;
use crate::snapshot::Crash;

/// Memory before and behind the faulting instruction.
const CODE_WINDOW: u64 = 256;
/// Memory before and behind what a register of the crashing thread points to.
const POINTER_WINDOW: (u64, u64) = (128, 512);
/// Memory before and behind `pthread_self()`: thread-local variables, and the C library's record
/// of the thread (`struct pthread`, 2304 bytes in glibc 2.36).
const THREAD_WINDOW: (u64, u64) = (4096, 2304);

/// Flags that ask for memory with data in it.
const MEMORY_FLAGS: &[DumpFlags] = &[
    DumpFlags::WITH_DATA_SEGS,
    DumpFlags::WITH_FULL_MEMORY,
    DumpFlags::WITH_INDIRECTLY_REFERENCED_MEMORY,
    DumpFlags::WITH_PROCESS_THREAD_DATA,
    DumpFlags::WITH_PRIVATE_READ_WRITE_MEMORY,
    DumpFlags::WITH_CODE_SEGS,
    DumpFlags::WITH_PRIVATE_WRITE_COPY_MEMORY,
    DumpFlags::WITH_MODULE_HEADERS,
];

/// Why a range is in the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// Around the faulting instruction.
    Code,
    /// A register of the crashing thread points there.
    Register,
    /// A word on a stack, or a register of another thread, points there.
    Reference,
    /// Raw memory behind the Python stream.
    Python,
    /// A library of the user wants it.
    Callback,
    /// What belongs to a thread besides its stack.
    Thread,
    /// In the small list too.
    Small,
    /// A whole area.
    Area,
}

/// A range that belongs into the dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) range: Range<u64>,
    pub(super) reason: Reason,
}

impl Wanted {
    pub(super) fn new(range: Range<u64>, reason: Reason) -> Self {
        Self { range, reason }
    }
}

/// What is chosen.
#[derive(Debug, Default)]
pub(super) struct MemoryChoice {
    /// For `MemoryListStream`; may overlap each other and the stacks.
    pub(super) small: Vec<Wanted>,
    /// For `Memory64ListStream`: by address, without overlap; holds again what stands in the
    /// small list, as readers look at one list only. Empty = no such stream.
    pub(super) large: Vec<Wanted>,
}

impl DumpWriter<'_> {
    pub(super) fn choose_memory(&mut self, crash: &Crash) -> MemoryChoice {
        let mut small = std::mem::take(&mut self.wanted);
        small.extend(self.code(crash.registers.rip));
        if self.is_filtered() {
            return MemoryChoice { small, large: Vec::new() };
        }
        if self.flags.contains(DumpFlags::WITH_INDIRECTLY_REFERENCED_MEMORY) {
            small.extend(self.pointed_by_registers(crash));
            small.extend(self.pointed_by_stacks());
        }
        if self.flags.contains(DumpFlags::WITH_PROCESS_THREAD_DATA) {
            small.extend(self.thread_data());
        }
        let areas = self.chosen_areas();
        let large = if areas.is_empty() { Vec::new() } else { self.with_small(areas, &small) };
        MemoryChoice { small, large }
    }

    /// Whether memory that may hold data must stay out. Whoever asks for it all the same, by other
    /// flags of a custom dump, is told.
    fn is_filtered(&mut self) -> bool {
        let filters = [DumpFlags::FILTER_MEMORY, DumpFlags::FILTER_TRIAGE];
        let Some(filter) = filters.into_iter().find(|flag| self.flags.contains(*flag)) else {
            return false;
        };
        let asking = MEMORY_FLAGS.iter().filter(|flag| self.flags.contains(**flag));
        let asking: Vec<&str> = asking.flat_map(|flag| flag.names()).collect();
        if !asking.is_empty() {
            let message = format!("it leaves out the memory of {}", asking.join(", "));
            let place = format!("flag {}", filter.names().join(" "));
            self.soft_errors.add("flags_contradict", place, message);
        }
        true
    }

    /// The code around the fault; data that was executed by mistake is none.
    fn code(&self, address: u64) -> Option<Wanted> {
        let region = self.snapshot.region_at(address)?;
        let is_code = region.is_executable && !region.is_writable;
        let range = self.window(address, CODE_WINDOW, CODE_WINDOW).filter(|_| is_code)?;
        Some(Wanted::new(range, Reason::Code))
    }

    /// What the registers of the crashing thread point to.
    fn pointed_by_registers(&self, crash: &Crash) -> Vec<Wanted> {
        let (before, behind) = POINTER_WINDOW;
        let pointed = crash.registers.general();
        let pointed = pointed.iter().filter_map(|value| self.window(*value, before, behind));
        pointed.map(|range| Wanted::new(range, Reason::Register)).collect()
    }

    fn thread_data(&self) -> Vec<Wanted> {
        let (before, behind) = THREAD_WINDOW;
        let threads = self.snapshot.threads().iter().filter_map(|t| t.registers.as_ref());
        let windows = threads.filter_map(|r| self.window(r.fs_base, before, behind));
        windows.map(|range| Wanted::new(range, Reason::Thread)).collect()
    }

    /// A window around an address, cut to the readable region that holds it.
    fn window(&self, address: u64, before: u64, behind: u64) -> Option<Range<u64>> {
        let region = self.snapshot.region_at(address).filter(|region| region.is_readable)?;
        let end = region.start.saturating_add(region.size);
        Some(
            address.saturating_sub(before).max(region.start)
                ..address.saturating_add(behind).min(end),
        )
    }

    /// Adds stacks and small pieces to areas; nothing stands there twice.
    fn with_small(&self, areas: Vec<Range<u64>>, small: &[Wanted]) -> Vec<Wanted> {
        let end = |range: &MemoryRange| range.start.saturating_add(range.data.size.into());
        let stacks = self.memory.iter().map(|range| range.start..end(range));
        let pieces = small.iter().map(|wanted| wanted.range.clone()).chain(stacks).collect();
        // Areas stay apart where they touch: their worth differs.
        let mut areas = areas;
        areas.sort_by_key(|area| area.start);
        let pieces = ranges::without(&ranges::merged(pieces), &areas);
        let pieces = pieces.into_iter().map(|range| Wanted::new(range, Reason::Small));
        let areas = areas.into_iter().map(|range| Wanted::new(range, Reason::Area));
        let mut large: Vec<Wanted> = pieces.chain(areas).collect();
        large.sort_by_key(|wanted| wanted.range.start);
        large
    }
}
