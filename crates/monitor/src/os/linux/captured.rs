//! The memory of a process that runs on, as far as it was read while it stood still.
//!
//! Pages are read whole and kept, so the second reader of a structure sees what the first one saw,
//! and neighbours cost no further system call.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use lastwords_pyframes::{Memory, MemoryError};

use super::maps::Mapping;
use super::memory::ProcessMemory;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = 4096;
/// Most pages that are kept: 256 MiB.
const MOST_PAGES: usize = 65_536;

pub(crate) type Page = [u8; PAGE];

/// Memory that is read once.
#[derive(Debug)]
pub(crate) struct CapturedMemory {
    source: ProcessMemory,
    /// By their addresses; `None` = cannot be read.
    pages: RefCell<HashMap<u64, Option<Box<Page>>>>,
    /// What does not change, and may be read at any time; by address.
    constant: Vec<Range<u64>>,
    has_ended: Cell<bool>,
}

impl CapturedMemory {
    /// Keeps nothing yet. `mappings` are those of the process.
    pub(crate) fn new(source: ProcessMemory, mappings: &[Mapping]) -> Self {
        let constant = mappings.iter().filter(|m| m.region.is_readable && !m.region.is_writable);
        let constant = constant.filter(|m| !m.is_kernels());
        Self {
            source,
            pages: RefCell::default(),
            constant: constant.map(|m| m.region.start..m.end()).collect(),
            has_ended: Cell::new(false),
        }
    }

    /// Reads ranges ahead, in few calls.
    pub(crate) fn keep(&self, ranges: &[Range<u64>]) {
        self.keep_with(Vec::new(), ranges);
    }

    /// Takes out what was read so far and may have changed since, with the pages' addresses.
    pub(crate) fn take_changing(&self) -> Vec<(u64, Box<Page>)> {
        let mut pages = self.pages.borrow_mut();
        let taken = pages.extract_if(|start, _| !self.is_constant(*start));
        let mut taken: Vec<_> = taken.filter_map(|(start, page)| Some((start, page?))).collect();
        taken.sort_unstable_by_key(|(start, _)| *start);
        taken
    }

    /// Reads pages that were taken out anew, and ranges, all in few calls.
    pub(crate) fn keep_with(&self, mut wanted: Vec<(u64, Box<Page>)>, ranges: &[Range<u64>]) {
        let mut met: HashSet<u64> = wanted.iter().map(|(start, _)| *start).collect();
        for range in ranges {
            let new = (page_of(range.start)..range.end).step_by(PAGE);
            let new = new.filter(|start| met.insert(*start));
            wanted.extend(new.map(|start| (start, Box::new([0; PAGE]))));
        }
        let mut pages = self.pages.borrow_mut();
        wanted.truncate(MOST_PAGES.saturating_sub(pages.len()));
        for (start, page) in self.source.read_pages(wanted) {
            pages.entry(start).or_insert(Some(page));
        }
    }

    /// The process goes on: what may change is not read any more.
    pub(crate) fn end(&self) {
        self.has_ended.set(true);
    }

    fn is_constant(&self, address: u64) -> bool {
        let behind = self.constant.partition_point(|range| range.start <= address);
        let last = behind.checked_sub(1).and_then(|index| self.constant.get(index));
        last.is_some_and(|range| range.contains(&address))
    }

    /// Copies the part of a page that begins at `address`.
    fn copy(&self, address: u64, piece: &mut [u8]) -> Option<()> {
        let start = page_of(address);
        let mut pages = self.pages.borrow_mut();
        if !pages.contains_key(&start) {
            let may_read = !self.has_ended.get() || self.is_constant(address);
            if !may_read || pages.len() >= MOST_PAGES {
                return None;
            }
            let mut page = Box::new([0; PAGE]);
            let read = self.source.read(start, &mut *page);
            pages.insert(start, read.is_ok().then_some(page));
        }
        let page = pages.get(&start)?.as_ref()?;
        let offset = usize::try_from(address % PAGE_BYTES).ok()?;
        piece.copy_from_slice(page.get(offset..)?.get(..piece.len())?);
        Some(())
    }
}

fn page_of(address: u64) -> u64 {
    address & !PAGE_BYTES.saturating_sub(1)
}

impl Memory for CapturedMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len();
        let mut at = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let to_boundary = PAGE_BYTES.saturating_sub(at % PAGE_BYTES);
            let size = rest.len().min(usize::try_from(to_boundary).unwrap_or(PAGE));
            let (piece, tail) = rest.split_at_mut(size);
            self.copy(at, piece).ok_or_else(|| {
                MemoryError::new(address, length, "not mapped, or not read while it stood still")
            })?;
            at = at.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
            rest = tail;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_memory() -> ProcessMemory {
        ProcessMemory::open(i32::try_from(std::process::id()).unwrap(), 0, None)
    }

    fn address_of<T>(value: &T) -> u64 {
        u64::try_from(std::ptr::from_ref(value).addr()).unwrap()
    }

    #[test]
    fn what_was_read_stays_as_it_was() {
        let mut value = vec![7_u8; 3 * PAGE];
        let captured = CapturedMemory::new(own_memory(), &[]);
        let address = address_of(&value[0]);
        let mut buffer = vec![0; 2 * PAGE];
        captured.read(address, &mut buffer).unwrap();
        assert!(buffer.iter().all(|byte| *byte == 7));
        value.fill(9);
        captured.read(address, &mut buffer).unwrap();
        assert!(buffer.iter().all(|byte| *byte == 7), "a kept page is not read again");
    }

    #[test]
    fn what_is_taken_out_is_read_anew_and_what_is_missing_is_left_out() {
        let mut value = vec![7_u8; 5 * PAGE];
        let first = page_of(address_of(&value[0])) + PAGE_BYTES;
        let captured = CapturedMemory::new(own_memory(), &[]);
        captured.read(first, &mut [0; 2 * PAGE]).unwrap();
        let mut taken = captured.take_changing();
        assert_eq!(taken.iter().map(|taken| taken.0).collect::<Vec<_>>(), [first, first + 4096]);
        taken.insert(1, (0x1000, Box::new([0; PAGE])));
        value.fill(9);
        captured.keep_with(taken, &[first + 5000..first + 3 * 4096, 0..0x2000]);
        captured.end();
        let mut read = vec![0; 3 * PAGE];
        captured.read(first, &mut read).unwrap();
        assert!(read.iter().all(|byte| *byte == 9));
        assert!(captured.read(0x1000, &mut [0]).is_err());
        assert!(captured.read(first + 3 * PAGE_BYTES, &mut [0]).is_err(), "was never asked for");
    }

    #[test]
    fn after_the_end_only_what_does_not_change_is_read() {
        let value = vec![7_u8; 3 * PAGE];
        let (start, end) = (address_of(&value[0]), address_of(&value[value.len() - 1]));
        let captured = CapturedMemory::new(own_memory(), &[]);
        captured.keep(std::slice::from_ref(&(start..start + 1)));
        captured.end();
        assert!(captured.read(end, &mut [0]).is_err());
        let mapping = Mapping {
            region: lastwords_format::streams::memory_info_list::Region {
                start: start & !0xFFF,
                size: 4 * PAGE_BYTES,
                is_readable: true,
                ..Default::default()
            },
            ..Mapping::default()
        };
        let captured = CapturedMemory::new(own_memory(), &[mapping]);
        captured.end();
        assert!(captured.read(end, &mut [0]).is_ok());
        assert!(captured.read(0x10, &mut [0]).is_err());
    }
}
