//! What stacks and registers point to: bounded, the most useful first.

use std::collections::BTreeSet;

use super::{Reason, Wanted};
use crate::ranges;
use crate::write::DumpWriter;

/// Memory is chosen in pieces of this size, which start at multiples of it.
const PIECE: u64 = 128;
/// Pieces before and behind the one that is pointed to.
const PIECES_BEHIND: u64 = 2;
/// Most pieces: 384 KiB.
const MOST_PIECES: usize = 3072;

impl DumpWriter<'_> {
    /// Memory that words on the newest parts of the stacks, and registers of threads, point to:
    /// what can be written and holds no code, as the rest is in files.
    pub(super) fn pointed_by_stacks(&mut self) -> Vec<Wanted> {
        let threads = self.snapshot.threads().iter().filter_map(|t| t.registers.as_ref());
        let registers: Vec<u64> = threads.flat_map(|registers| registers.general()).collect();
        let mut pieces: BTreeSet<u64> = BTreeSet::new();
        for address in registers.iter().chain(&self.stack_words) {
            if pieces.len() >= MOST_PIECES {
                break;
            }
            let Some(end) = self.end_of_data(*address) else { continue };
            let first = address.div_euclid(PIECE);
            let last = end.saturating_sub(1).div_euclid(PIECE);
            pieces.extend(first..=last.min(first.saturating_add(PIECES_BEHIND)));
        }
        let range = |piece: u64| {
            let start = piece.saturating_mul(PIECE);
            start..start.saturating_add(PIECE)
        };
        let merged = ranges::merged(pieces.into_iter().map(range).collect());
        merged.into_iter().map(|range| Wanted::new(range, Reason::Reference)).collect()
    }

    /// End of the region of data that holds an address, unless the dump has it already.
    fn end_of_data(&self, address: u64) -> Option<u64> {
        let region = self.snapshot.region_at(address)?;
        let is_data = region.is_readable && region.is_writable && !region.is_executable;
        let end = region.start.saturating_add(region.size);
        (is_data && !self.is_there(address)).then_some(end)
    }

    /// Whether the stacks in the file hold it.
    fn is_there(&self, address: u64) -> bool {
        self.memory.iter().any(|range| address.wrapping_sub(range.start) < range.data.size.into())
    }
}
