//! Memory that is read by pages, each once: for many small reads from few places.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::memory::{Memory, MemoryError};

const PAGE: u64 = 4096;
const PAGE_BYTES: usize = 4096;

/// Keeps every page that was read, and that one could not be read. What changes meanwhile is seen
/// as it was.
pub(crate) struct PagedMemory<'m> {
    memory: &'m dyn Memory,
    known: RefCell<HashMap<u64, Option<Box<[u8]>>>>,
}

impl<'m> PagedMemory<'m> {
    pub fn new(memory: &'m dyn Memory) -> Self {
        Self { memory, known: RefCell::default() }
    }

    /// Fills `buffer` with the bytes at `offset` of a page.
    fn copy(&self, page: u64, offset: usize, buffer: &mut [u8]) -> Option<()> {
        let mut known = self.known.borrow_mut();
        let bytes = known.entry(page).or_insert_with(|| {
            let mut bytes = vec![0; PAGE_BYTES];
            self.memory.read(page, &mut bytes).ok().map(|()| bytes.into_boxed_slice())
        });
        let end = offset.checked_add(buffer.len())?;
        buffer.copy_from_slice(bytes.as_ref()?.get(offset..end)?);
        Some(())
    }
}

impl Memory for PagedMemory<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let failed = MemoryError::new(address, buffer.len(), "not readable");
        let mut at = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = at % PAGE;
            let offset = usize::try_from(within).unwrap_or(0);
            let length = rest.len().min(PAGE_BYTES.saturating_sub(offset));
            let (piece, behind) = rest.split_at_mut(length);
            self.copy(at.saturating_sub(within), offset, piece).ok_or_else(|| failed.clone())?;
            at = at.saturating_add(u64::try_from(length).unwrap_or(0));
            rest = behind;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;
    use std::cell::Cell;

    /// Two pages of which each word is its own address; counts the reads.
    struct Addresses(Cell<usize>);

    impl Memory for Addresses {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            self.0.set(self.0.get() + 1);
            if address.saturating_add(buffer.len() as u64) > 0x3000 {
                return Err(MemoryError::new(address, buffer.len(), "not there"));
            }
            for (at, word) in (address..).step_by(8).zip(buffer.chunks_mut(8)) {
                word.copy_from_slice(&at.to_le_bytes());
            }
            Ok(())
        }
    }

    #[test]
    fn a_page_is_read_once_and_reads_cross_pages() {
        let memory = Addresses(Cell::new(0));
        let pages = PagedMemory::new(&memory);
        let word = |address: u64| {
            let mut bytes = [0; 8];
            pages.read(address, &mut bytes).map(|()| u64::from_le_bytes(bytes))
        };
        assert_eq!(
            [word(0x1008), word(0x1010), word(0x1ff8)],
            [Ok(0x1008), Ok(0x1010), Ok(0x1ff8)]
        );
        assert_eq!(memory.0.get(), 1);
        let mut across = [0; 24];
        pages.read(0x1ff0, &mut across).unwrap();
        assert_eq!(across[16..], 0x2000_u64.to_le_bytes());
        assert_eq!(memory.0.get(), 2);
        assert!(word(0x3000).is_err() && word(0x3008).is_err() && word(u64::MAX - 3).is_err());
        assert_eq!(memory.0.get(), 4);
    }
}
