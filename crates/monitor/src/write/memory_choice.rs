//! Which memory a kind of dump holds, and why.
//!
//! Only decides: `memory_list.rs` writes what is small (`MemoryListStream`), `memory64.rs` what
//! is large (`Memory64ListStream`).

use std::ops::Range;

use lastwords_format::streams::memory_info_list::Region;

use super::DumpWriter;
use crate::plan::DumpFlags;
use crate::snapshot::Crash;

/// Memory before and behind the faulting instruction.
const CODE_WINDOW: u64 = 256;
/// Memory before and behind what a register of the crashing thread points to.
const POINTER_WINDOW: (u64, u64) = (128, 512);

/// Why a range is in the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// Around the faulting instruction.
    Code,
    /// A register of the crashing thread points there.
    Register,
    /// Raw memory behind the Python stream.
    Python,
    /// All that can be read.
    Full,
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
    /// For `Memory64ListStream`: sorted, without overlap, by region; holds again what stands in
    /// the small list, as readers look at one list only. Empty = no such stream.
    pub(super) large: Vec<Wanted>,
}

impl DumpWriter<'_> {
    pub(super) fn choose_memory(&mut self, crash: &Crash) -> MemoryChoice {
        let mut small = std::mem::take(&mut self.wanted);
        small.extend(self.near(crash));
        let mut large = Vec::new();
        if self.flags.contains(DumpFlags::WITH_FULL_MEMORY) {
            let regions = self.snapshot.regions().iter().filter(|region| region.is_readable);
            large.extend(regions.map(|region| Wanted::new(whole(region), Reason::Full)));
        }
        MemoryChoice { small, large }
    }

    /// The code around the fault, and what the registers of the crashing thread point to.
    fn near(&self, crash: &Crash) -> Vec<Wanted> {
        let registers = &crash.registers;
        let (before, behind) = POINTER_WINDOW;
        let code = self.window(registers.rip, CODE_WINDOW, CODE_WINDOW);
        let code = code.map(|range| Wanted::new(range, Reason::Code));
        let pointed = registers.general();
        let pointed = pointed.iter().filter_map(|value| self.window(*value, before, behind));
        code.into_iter().chain(pointed.map(|range| Wanted::new(range, Reason::Register))).collect()
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
}

fn whole(region: &Region) -> Range<u64> {
    region.start..region.start.saturating_add(region.size)
}
