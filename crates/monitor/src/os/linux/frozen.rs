//! The memory of a process that runs on: read from its clone, but for what a clone does not hold.

use std::cell::RefCell;
use std::ops::Range;

use lastwords_pyframes::{Memory, MemoryError};

use super::clone::ProcessClone;
use super::maps::{self, Mapping};
use super::memory::ProcessMemory;
use super::pagemap::PageMap;
use super::procfs;
use crate::ranges;
use crate::soft_errors::SoftErrors;

/// Our own memory that is shared with the process; nobody misses a frozen copy of it.
const OWN_AREA: &str = "/memfd:lastwords";

/// Memory as it was when the clone was made.
#[derive(Debug)]
pub(crate) struct FrozenMemory {
    clone: RefCell<Option<ProcessClone>>,
    copy: ProcessMemory,
    pub(crate) pages: Option<PageMap>,
    /// What must be read from the process itself: not in the copy, or wiped there.
    live: Vec<Range<u64>>,
    process: i32,
}

impl FrozenMemory {
    /// `process` is a thread of the process that the clone was made of, `mappings` are the
    /// process's own.
    pub(crate) fn new(
        clone: ProcessClone,
        process: i32,
        mappings: &[Mapping],
        soft_errors: &mut SoftErrors,
    ) -> Self {
        let pid = clone.pid;
        let live = live_ranges(pid, mappings);
        note("not in a clone (MADV_DONTFORK, MADV_WIPEONFORK)", &live, soft_errors);
        let shared = mappings.iter().filter(|m| m.region.is_shared && m.region.is_writable);
        let shared = shared.filter(|m| !m.path.starts_with(OWN_AREA));
        let shared: Vec<Range<u64>> = shared.map(|m| m.region.start..m.end()).collect();
        note("shared with other processes", &shared, soft_errors);
        Self {
            clone: RefCell::new(Some(clone)),
            copy: ProcessMemory::of_copy(pid),
            pages: PageMap::open(pid),
            live,
            process,
        }
    }

    /// Whether the copy holds this address as it was.
    pub(crate) fn is_frozen(&self, address: u64) -> bool {
        !self.live.iter().any(|range| range.contains(&address))
    }

    /// Ends the clone; nothing can be read any more.
    pub(crate) fn end(&self, pid: i32, soft_errors: &mut SoftErrors) {
        if let Some(clone) = self.clone.borrow_mut().take() {
            clone.end(pid, soft_errors);
        }
    }
}

impl Memory for FrozenMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        if self.is_frozen(address) {
            self.copy.read(address, buffer)
        } else {
            ProcessMemory::of_copy(self.process).read(address, buffer)
        }
    }
}

fn note(what: &str, ranges: &[Range<u64>], soft_errors: &mut SoftErrors) {
    let bytes = ranges.iter().map(|range| range.end.saturating_sub(range.start));
    let bytes = bytes.fold(0, u64::saturating_add);
    if bytes > 0 {
        let message = format!("{bytes} bytes are {what}: read while the process ran on");
        soft_errors.add("memory_not_frozen", "clone", message);
    }
}

/// What the process has mapped but its clone has not, or has wiped.
fn live_ranges(clone: i32, mappings: &[Mapping]) -> Vec<Range<u64>> {
    let Ok(text) = procfs::smaps(clone) else { return Vec::new() };
    let text = String::from_utf8_lossy(&text);
    let mut copied = Vec::new();
    let mut wiped = Vec::new();
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let last = copied.last().cloned();
            wiped.extend(last.filter(|_| flags.split_whitespace().any(|flag| flag == "wf")));
        } else if let [mapping] = maps::parse(line).as_slice() {
            copied.push(mapping.region.start..mapping.end());
        }
    }
    let readable = mappings.iter().filter(|m| m.region.is_readable && !m.is_kernels());
    let readable: Vec<Range<u64>> = readable.map(|m| m.region.start..m.end()).collect();
    let frozen = ranges::without(&ranges::merged(copied), &ranges::merged(wiped));
    ranges::without(&ranges::merged(readable), &frozen)
}
