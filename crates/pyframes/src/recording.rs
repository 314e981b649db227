//! Remembers what was read: the raw evidence that goes into a dump beside the decoded stream,
//! so that a later decoder can do the work again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::memory::{Memory, MemoryError};

/// A [`Memory`] that passes reads on and remembers the ranges that were read, except by
/// [`Memory::read_unrecorded`].
///
/// Ranges that overlap or touch are merged. What goes beyond the limits is still read, but
/// not remembered; [`RecordingMemory::is_cut`] tells of it.
pub struct RecordingMemory<'a> {
    inner: &'a dyn Memory,
    max_bytes: u64,
    max_ranges: usize,
    state: RefCell<Recorded>,
}

#[derive(Default)]
struct Recorded {
    /// Start → end (exclusive); disjoint and not touching.
    ranges: BTreeMap<u64, u64>,
    bytes: u64,
    is_cut: bool,
}

impl<'a> RecordingMemory<'a> {
    /// Wraps `inner`; remembers at most `max_bytes` bytes in `max_ranges` ranges.
    #[must_use]
    pub fn new(inner: &'a dyn Memory, max_bytes: u64, max_ranges: usize) -> Self {
        Self { inner, max_bytes, max_ranges, state: RefCell::default() }
    }

    /// The ranges that were read, merged, by address.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        self.state.borrow().ranges.iter().map(|(start, end)| *start..*end).collect()
    }

    /// Bytes in all ranges together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.state.borrow().bytes
    }

    /// Whether a range was left out because of a limit.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state.borrow().is_cut
    }
}

impl Memory for RecordingMemory<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.inner.read(address, buffer)?;
        let length = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        self.record(address..address.saturating_add(length));
        Ok(())
    }

    fn read_unrecorded(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.inner.read_unrecorded(address, buffer)
    }

    fn record(&self, range: Range<u64>) {
        self.state.borrow_mut().add(range, self.max_bytes, self.max_ranges);
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

impl Recorded {
    fn add(&mut self, new: Range<u64>, max_bytes: u64, max_ranges: usize) {
        if new.is_empty() {
            return;
        }
        // The ranges are disjoint, so those that touch `new` are the last ones that start
        // at or before its end.
        let touching: Vec<Range<u64>> = self
            .ranges
            .range(..=new.end)
            .rev()
            .map(|(start, end)| *start..*end)
            .take_while(|range| range.end >= new.start)
            .collect();
        let start = touching.last().map_or(new.start, |range| range.start.min(new.start));
        let end = touching.first().map_or(new.end, |range| range.end.max(new.end));
        let merged = start..end;
        let replaced = touching.iter().map(length).fold(0, u64::saturating_add);
        let bytes = self.bytes.saturating_sub(replaced).saturating_add(length(&merged));
        let is_full = touching.is_empty() && self.ranges.len() >= max_ranges;
        if bytes > max_bytes || is_full {
            self.is_cut = true;
            return;
        }
        for range in &touching {
            self.ranges.remove(&range.start);
        }
        self.ranges.insert(merged.start, merged.end);
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Memory for Zeros {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            if address >= 0x9000 {
                return Err(MemoryError::new(address, buffer.len(), "not mapped"));
            }
            buffer.fill(0);
            Ok(())
        }
    }

    fn recorded(
        reads: &[(u64, usize)],
        max_bytes: u64,
        max_ranges: usize,
    ) -> (Vec<(u64, u64)>, bool) {
        let memory = RecordingMemory::new(&Zeros, max_bytes, max_ranges);
        for (address, length) in reads {
            let _ = memory.read(*address, &mut vec![1; *length]);
        }
        let total: u64 = memory.ranges().iter().map(length).sum();
        assert_eq!(total, memory.total_bytes());
        let ranges = memory.ranges().iter().map(|range| (range.start, range.end)).collect();
        (ranges, memory.is_cut())
    }

    #[test]
    fn ranges_that_overlap_or_touch_are_merged() {
        let reads = [(0x1000, 16), (0x1020, 16), (0x1010, 16), (0x1008, 4), (0x2000, 8)];
        assert_eq!(recorded(&reads, 1000, 10), (vec![(0x1000, 0x1030), (0x2000, 0x2008)], false));
    }

    #[test]
    fn what_is_read_unrecorded_is_remembered_only_as_far_as_told() {
        let memory = RecordingMemory::new(&Zeros, 1000, 10);
        memory.read_unrecorded(0x1000, &mut [1; 64]).unwrap();
        assert_eq!(memory.ranges(), []);
        memory.record(0x1000..0x1010);
        assert_eq!(memory.ranges().first(), Some(&(0x1000..0x1010)));
        assert_eq!(memory.total_bytes(), 16);
    }

    #[test]
    fn a_failed_read_is_no_evidence() {
        assert_eq!(recorded(&[(0x9000, 16)], 1000, 10), (vec![], false));
    }

    #[test]
    fn limits_cut_what_is_remembered_and_say_so() {
        assert_eq!(recorded(&[(0, 16), (0x100, 16)], 20, 10), (vec![(0, 16)], true));
        assert_eq!(recorded(&[(0, 16), (0x100, 16), (8, 16)], 100, 1), (vec![(0, 24)], true));
    }

    #[test]
    fn one_read_can_join_many_ranges() {
        let reads = [(0x10, 8), (0x20, 8), (0x30, 8), (0x18, 0x18)];
        assert_eq!(recorded(&reads, 1000, 10), (vec![(0x10, 0x38)], false));
    }
}
