//! Pages of the target, read once: objects lie side by side, and each read is a system call.

use std::collections::HashMap;

use crate::memory::Memory;

/// The smallest page there is.
const PAGE: u64 = 4096;
const PAGE_SIZE: usize = 4096;
/// Pages that are kept at a time: 8 MiB.
const MAX_PAGES: usize = 2_048;
/// Longer reads gain nothing from pages.
const MAX_LENGTH: usize = 4 * PAGE_SIZE;

/// What stands in memory, page by page.
#[derive(Default)]
pub(crate) struct Pages {
    /// `None` = the page cannot be read as a whole.
    pages: HashMap<u64, Option<Vec<u8>>>,
}

impl Pages {
    /// `length` bytes at `address`; `None` = they must be read by themselves. `spend` is asked
    /// before each page that is read.
    pub fn get<E>(
        &mut self,
        memory: &dyn Memory,
        address: u64,
        length: usize,
        mut spend: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Option<Vec<u8>>, E> {
        if length > MAX_LENGTH {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let done = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let Some(at) = address.checked_add(done) else { return Ok(None) };
            let offset = usize::try_from(at % PAGE).unwrap_or(0);
            let start = at.saturating_sub(at % PAGE);
            if !self.pages.contains_key(&start) {
                spend(PAGE_SIZE)?;
                self.read(memory, start);
            }
            let Some(Some(page)) = self.pages.get(&start) else { return Ok(None) };
            let wanted = length.saturating_sub(bytes.len());
            let end = offset.saturating_add(wanted).min(PAGE_SIZE);
            bytes.extend_from_slice(page.get(offset..end).unwrap_or_default());
        }
        Ok(Some(bytes))
    }

    fn read(&mut self, memory: &dyn Memory, start: u64) {
        if self.pages.len() >= MAX_PAGES {
            self.pages.clear();
        }
        let mut page = vec![0; PAGE_SIZE];
        let read = memory.read_unrecorded(start, &mut page);
        self.pages.insert(start, read.is_ok().then_some(page));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::memory::MemoryError;

    /// Each byte is its page's number; page 3 is missing.
    struct Numbered(Cell<usize>);

    impl Memory for Numbered {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            self.0.set(self.0.get().saturating_add(1));
            assert_eq!((address % PAGE, buffer.len()), (0, PAGE_SIZE));
            let page = u8::try_from(address / PAGE).unwrap_or(0);
            buffer.fill(page);
            if page == 3 { Err(MemoryError::new(address, 1, "missing")) } else { Ok(()) }
        }
    }

    #[test]
    fn a_page_is_read_once_and_reads_may_cross_pages() {
        let memory = Numbered(Cell::new(0));
        let mut pages = Pages::default();
        let mut spent = 0;
        let mut get = |address, length| {
            pages.get(&memory, address, length, |size| {
                spent += size;
                Ok::<_, ()>(())
            })
        };
        assert_eq!(get(4094, 4), Ok(Some(vec![0, 0, 1, 1])));
        assert_eq!(get(4096, 3), Ok(Some(vec![1; 3])));
        assert_eq!(get(8192, 4096), Ok(Some(vec![2; 4096])));
        assert_eq!(get(3 * 4096 - 1, 2), Ok(None), "the second page is missing");
        assert_eq!(get(3 * 4096, 2), Ok(None));
        assert_eq!(get(0, MAX_LENGTH + 1), Ok(None));
        assert_eq!(get(u64::MAX, 2), Ok(None));
        assert!(pages.get(&memory, 5 * 4096, 1, |_| Err("spent")).is_err());
        assert_eq!((memory.0.get(), spent / PAGE_SIZE), (5, 5));
    }
}
