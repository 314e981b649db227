//! Finding a runtime by what stands in memory, where no symbol and no section tells of it.
//!
//! From 3.13 on the runtime begins with the cookie `xdebugpy`. Before, it holds side by side the
//! pointers `interpreters.head` and `interpreters.main` and the number `next_id` (`struct
//! pyinterpreters`, `Include/internal/pycore_runtime.h`, 3.7 and later), and what they point to is
//! known by a thread state that points back. The three together tell the field from every other
//! pointer to an interpreter, and from lists whose heads point to themselves (`usedpools` of
//! `Objects/obmalloc.c`).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::check::is_interpreter;
use super::modules::Module;
use super::reach::Reach;
use super::version::of_debug_offsets;
use crate::layout::Layout;
use crate::memory::{Memory, MemoryError, read_available};

const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
const STEP: u64 = 1024 * 1024;
const PAGE: u64 = 4096;
const PAGE_BYTES: usize = 4096;
/// Data that is searched of one module.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// A module holds one runtime; copies of its data may be met.
const MOST_FOUND: usize = 16;
/// `interpreters.head` is the newest interpreter, `main` the oldest.
const MOST_INTERPRETERS: usize = 256;
/// Interpreters that were ever made.
const MOST_IDS: u64 = 1 << 31;

/// Runtimes that begin with the cookie, and their versions.
pub(super) fn cookies(reach: &Reach<'_>, module: &Module<'_>) -> Vec<(u64, u32)> {
    let mut found = Vec::new();
    for_each_triple(reach, module.data(reach), &mut |address, [word, ..]| {
        if word == COOKIE
            && found.len() < MOST_FOUND
            && let Some(version) = of_debug_offsets(reach, address)
        {
            found.push((address, version));
        }
    });
    found
}

/// Runtimes whose pair of interpreters, by one of the layouts, leads to a thread and back; and the
/// versions of those layouts.
pub(super) fn back_pointers(
    reach: &Reach<'_>,
    module: &Module<'_>,
    layouts: &[(u32, Layout)],
) -> Vec<(u64, u32)> {
    let pages = Pages { memory: reach, known: RefCell::default() };
    let mut refused = HashSet::new();
    let mut found = Vec::new();
    for_each_triple(reach, module.data(reach), &mut |address, [head, main, next_id]| {
        let is_possible = (1..MOST_IDS).contains(&next_id)
            && found.len() < MOST_FOUND
            && !refused.contains(&main)
            && reach.is_data(main);
        if !is_possible {
            return;
        }
        let fitting = layouts.iter().filter(|(_, layout)| is_interpreter(&pages, layout, main));
        let fitting: Vec<&(u32, Layout)> = fitting.collect();
        if fitting.is_empty() {
            refused.insert(main);
        }
        for (version, layout) in fitting {
            if leads_to(&pages, layout, head, main)
                && let Some(runtime) = address.checked_sub(layout.runtime.interpreters_head.offset)
            {
                found.push((runtime, *version));
            }
        }
    });
    found
}

/// Whether the list of interpreters that begins with `head` ends with `main`.
fn leads_to(memory: &dyn Memory, layout: &Layout, head: u64, main: u64) -> bool {
    let mut interpreter = head;
    for _ in 0..MOST_INTERPRETERS {
        if interpreter == main {
            return true;
        }
        let next = interpreter.checked_add(layout.interpreter.next.offset);
        let Some(next) = next.filter(|_| interpreter != 0 && interpreter.is_multiple_of(8)) else {
            return false;
        };
        let mut bytes = [0; 8];
        if memory.read(next, &mut bytes).is_err() {
            return false;
        }
        interpreter = u64::from_le_bytes(bytes);
    }
    false
}

/// Calls `look` with the address of every aligned word of the parts, it and the two words behind
/// it; at most 64 MiB of them.
fn for_each_triple(reach: &Reach<'_>, parts: Vec<Range<u64>>, look: &mut dyn FnMut(u64, [u64; 3])) {
    let mut left = MOST_BYTES;
    for part in parts {
        let mut start = part.start.next_multiple_of(8);
        while start < part.end && left > 0 && !reach.is_exhausted() {
            let size = part.end.saturating_sub(start).min(STEP);
            let with_next = part.end.saturating_sub(start).min(STEP.saturating_add(16));
            let bytes = read_available(reach, start, with_next);
            let words = bytes.as_chunks::<8>().0;
            let mut address = start;
            for triple in words.windows(3) {
                if let [first, second, third] = triple {
                    look(address, [first, second, third].map(|word| u64::from_le_bytes(*word)));
                }
                address = address.saturating_add(8);
            }
            // What cannot be read is a page at most, or the rest of what was recorded.
            let read = u64::try_from(bytes.len()).unwrap_or(0).min(size);
            start = start.saturating_add(read.max(PAGE.min(size)));
            left = left.saturating_sub(size);
        }
    }
}

/// Memory that is read by pages, each once: the words of interpreters and thread states lie all
/// over the heap.
struct Pages<'r, 'm> {
    memory: &'r Reach<'m>,
    known: RefCell<HashMap<u64, Option<Box<[u8]>>>>,
}

impl Memory for Pages<'_, '_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len();
        let failed = || MemoryError::new(address, length, "not readable");
        let page = address.checked_div(PAGE).unwrap_or(0).saturating_mul(PAGE);
        let offset = usize::try_from(address.wrapping_sub(page)).map_err(|_| failed())?;
        let mut known = self.known.borrow_mut();
        let bytes = known.entry(page).or_insert_with(|| {
            let mut bytes = vec![0; PAGE_BYTES];
            self.memory.read(page, &mut bytes).ok().map(|()| bytes.into_boxed_slice())
        });
        let end = offset.saturating_add(length);
        let found = bytes.as_ref().and_then(|bytes| bytes.get(offset..end));
        buffer.copy_from_slice(found.ok_or_else(failed)?);
        Ok(())
    }
}
