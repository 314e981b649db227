//! Which pages of a process were ever touched: the others need not be read to be known as zero.
//!
//! `PAGEMAP_SCAN` (Linux 6.7, `Documentation/admin-guide/mm/pagemap.rst`) jumps over empty page
//! tables; before, `/proc/PID/pagemap` tells it in one `u64` per page: bit 63 present, bit 62
//! swapped, bit 58 a guard page (`MADV_GUARD_INSTALL`, Linux 6.15), which cannot be read.

use std::cell::Cell;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
/// Gaps up to this are read with what surrounds them.
const LEAST_GAP: u64 = 64 * 1024;
/// Longest part found at once.
const MOST_PAGES: u64 = 16 * 1024;
const MOST_REGIONS: usize = 64;
/// `_IOWR('f', 16, struct pm_scan_arg)` (`linux/fs.h`).
const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;
/// Known to the kernel since Linux 6.15.
const PAGE_IS_GUARD: u64 = 1 << 8;
const PRESENT_OR_SWAPPED: u64 = 3 << 62;
const GUARD: u64 = 1 << 58;

/// `struct pm_scan_arg` (`linux/fs.h`).
#[repr(C)]
#[derive(Default)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` (`linux/fs.h`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// The page map of one process.
#[derive(Debug)]
pub(crate) struct PageMap {
    file: File,
    can_scan: Cell<bool>,
    /// Pages of these categories are no memory.
    left_out: Cell<u64>,
}

impl PageMap {
    /// `None` when it is not allowed to be read.
    pub(crate) fn open(pid: i32) -> Option<Self> {
        let file = File::open(format!("/proc/{pid}/pagemap")).ok()?;
        let left_out = Cell::new(PAGE_IS_PFNZERO | PAGE_IS_GUARD);
        Some(Self { file, can_scan: Cell::new(true), left_out })
    }

    /// The first part of `range` (of private memory without a file) that may be something else
    /// than zero; `None` when all of it is zero. Small gaps belong to the part.
    pub(crate) fn next_touched(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let from = range.start & !PAGE.saturating_sub(1);
        let found = match self.scan(from, range.end) {
            Some(found) => found,
            None => self.look(from, range.end),
        }?;
        Some(found.start.max(range.start)..found.end.min(range.end))
    }

    /// `None` when the kernel cannot.
    fn scan(&self, from: u64, end: u64) -> Option<Option<Range<u64>>> {
        if !self.can_scan.get() {
            return None;
        }
        let mut regions = [PageRegion::default(); MOST_REGIONS];
        let mut argument = ScanArgument {
            size: u64::try_from(size_of::<ScanArgument>()).unwrap_or(0),
            start: from,
            end,
            vec: u64::try_from(regions.as_mut_ptr().expose_provenance()).unwrap_or(0),
            vec_len: u64::try_from(MOST_REGIONS).unwrap_or(1),
            max_pages: MOST_PAGES,
            category_inverted: self.left_out.get(),
            category_mask: self.left_out.get(),
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            ..Default::default()
        };
        // SAFETY: the argument has the size that it names, and `vec` is an array of `vec_len`
        // regions that outlives the call.
        let count = unsafe { libc::ioctl(self.file.as_raw_fd(), PAGEMAP_SCAN, &raw mut argument) };
        let Ok(count) = usize::try_from(count) else {
            if self.left_out.replace(PAGE_IS_PFNZERO) & PAGE_IS_GUARD != 0 {
                return self.scan(from, end);
            }
            self.can_scan.set(false);
            return None;
        };
        let found = regions.get(..count).unwrap_or(&[]);
        Some(joined(found.iter().map(|region| region.start..region.end)))
    }

    fn look(&self, from: u64, end: u64) -> Option<Range<u64>> {
        let mut words = [0_u8; 4096];
        let mut at = from;
        let mut found: Option<Range<u64>> = None;
        while at < end && found.as_ref().is_none_or(|f| f.end.saturating_add(LEAST_GAP) >= at) {
            let offset = at.checked_div(PAGE).unwrap_or(0).saturating_mul(8);
            // What cannot be looked up is read.
            let got = self.file.read_at(&mut words, offset).unwrap_or(0);
            if got < 8 {
                return Some(found.map_or(from, |f| f.start)..end);
            }
            for word in words.get(..got).unwrap_or(&[]).chunks_exact(8) {
                let entry = word.first_chunk::<8>().map_or(0, |word| u64::from_ne_bytes(*word));
                let page = at..at.saturating_add(PAGE);
                at = page.end;
                if entry & PRESENT_OR_SWAPPED == 0 || entry & GUARD != 0 {
                    continue;
                }
                match &mut found {
                    None => found = Some(page),
                    Some(f) if page.start.saturating_sub(f.end) <= LEAST_GAP => f.end = page.end,
                    Some(_) => return found,
                }
            }
            let most = MOST_PAGES.saturating_mul(PAGE);
            if found.as_ref().is_some_and(|f| f.end.saturating_sub(f.start) >= most) {
                break;
            }
        }
        found.filter(|found| found.start < end)
    }
}

/// The first of them, and what follows without a gap worth mentioning.
fn joined(mut regions: impl Iterator<Item = Range<u64>>) -> Option<Range<u64>> {
    let mut first = regions.next()?;
    for region in regions {
        if region.start.saturating_sub(first.end) > LEAST_GAP {
            break;
        }
        first.end = region.end;
    }
    Some(first)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // Helpers of tests are no tests to clippy.
mod tests {
    use super::*;

    const LENGTH: usize = 64 << 20;

    /// Touched: pages 1000 and 1002, and the last one.
    fn sparse() -> (u64, Range<u64>) {
        // SAFETY: a new anonymous mapping, never unmapped; only its own pages are written.
        unsafe {
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE);
            let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let at = libc::mmap(std::ptr::null_mut(), LENGTH, protection, flags, -1, 0);
            libc::madvise(at, LENGTH, libc::MADV_NOHUGEPAGE);
            for page in [1000, 1002, LENGTH / 4096 - 1] {
                at.cast::<u8>().add(page * 4096 + 9).write_volatile(1);
            }
            // Read only: the kernel's page of zeros.
            at.cast::<u8>().add(3000 * 4096).read_volatile();
            let start = u64::try_from(at.addr()).unwrap();
            (start, start..start + u64::try_from(LENGTH).unwrap())
        }
    }

    fn all(map: &PageMap, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut rest = range.clone();
        let mut found = Vec::new();
        while let Some(part) = map.next_touched(&rest) {
            rest.start = part.end;
            found.push(part.start - range.start..part.end - range.start);
        }
        found
    }

    #[test]
    fn only_touched_pages_are_found_by_both_ways() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (start, range) = sparse();
        let map = PageMap::open(pid).unwrap();
        let page = |number: u64| number * 4096;
        let last = range.end - start;
        let looked = {
            map.can_scan.set(false);
            all(&map, &range)
        };
        assert_eq!(looked[0], page(1000)..page(1003));
        assert_eq!(looked.last(), Some(&(last - 4096..last)));
        map.can_scan.set(true);
        let scanned = all(&map, &range);
        if map.can_scan.get() {
            assert_eq!(scanned, [page(1000)..page(1003), last - 4096..last]);
        }
        let inside = start + page(1000) + 5..start + page(1000) + 7;
        assert_eq!(map.next_touched(&inside), Some(inside));
    }
}
