//! The memory of a process that runs on, as far as it was read while it stood still.
//!
//! Pages are read whole and kept, so the second reader of a structure sees what the first one saw,
//! and neighbours cost no further system call.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use lastwords_pyframes::{Memory, MemoryError};

use super::maps::Mapping;
use super::memory::{ProcessMemory, read_available};

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = 4096;
/// Most pages that are kept: 256 MiB.
const MOST_PAGES: usize = 65_536;

type Page = [u8; PAGE];

/// Memory that is read once.
#[derive(Debug)]
pub(crate) struct CapturedMemory {
    source: ProcessMemory,
    /// By page number; `None` = cannot be read.
    pages: RefCell<HashMap<u64, Option<Box<Page>>>>,
    /// What does not change, and may be read at any time.
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

    /// Reads a range ahead, in one go.
    pub(crate) fn keep(&self, range: &Range<u64>) {
        let start = range.start & !PAGE_BYTES.saturating_sub(1);
        let bytes = read_available(&self.source, start, range.end.saturating_sub(start));
        let first = start.checked_div(PAGE_BYTES).unwrap_or(0);
        let mut pages = self.pages.borrow_mut();
        for (number, bytes) in (first..).zip(bytes.chunks_exact(PAGE)) {
            if pages.len() >= MOST_PAGES {
                return;
            }
            pages.entry(number).or_insert_with(|| Page::try_from(bytes).ok().map(Box::new));
        }
    }

    /// The process goes on: what may change is not read any more.
    pub(crate) fn end(&self) {
        self.has_ended.set(true);
    }

    fn is_constant(&self, address: u64) -> bool {
        self.constant.iter().any(|range| range.contains(&address))
    }

    /// Copies the part of a page that begins at `address`.
    fn copy(&self, address: u64, piece: &mut [u8]) -> Option<()> {
        let number = address.checked_div(PAGE_BYTES)?;
        let mut pages = self.pages.borrow_mut();
        if !pages.contains_key(&number) {
            let may_read = !self.has_ended.get() || self.is_constant(address);
            if !may_read || pages.len() >= MOST_PAGES {
                return None;
            }
            let mut page = Box::new([0; PAGE]);
            let read = self.source.read(number.checked_mul(PAGE_BYTES)?, &mut *page);
            pages.insert(number, read.is_ok().then_some(page));
        }
        let page = pages.get(&number)?.as_ref()?;
        let offset = usize::try_from(address % PAGE_BYTES).ok()?;
        piece.copy_from_slice(page.get(offset..)?.get(..piece.len())?);
        Some(())
    }
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
    fn after_the_end_only_what_does_not_change_is_read() {
        let value = vec![7_u8; 3 * PAGE];
        let (start, end) = (address_of(&value[0]), address_of(&value[value.len() - 1]));
        let captured = CapturedMemory::new(own_memory(), &[]);
        captured.keep(&(start..start + 1));
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
