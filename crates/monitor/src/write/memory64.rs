//! `Memory64ListStream`: large memory, streamed to the end of the file.
//!
//! What matters most comes first (stacks, what the program has written, then the rest), because the
//! disk, the time or a limit may end the list early; it then tells of what is there. One thread
//! reads, another writes ([`pipeline`]): never more than a few MiB are held, however large the
//! process is.

mod disk;
mod pipeline;

use std::io;
use std::ops::Range;
use std::time::Instant;

use lastwords_format::streams::stream_type;

use super::{DumpWriter, StreamResult, Wanted};
use crate::dump_file::DumpFile;
use crate::ranges;
use crate::snapshot::ProcessSnapshot;
use crate::soft_errors::SoftErrors;

use self::pipeline::Pipeline;

/// Bytes read at once.
const CHUNK: u64 = 1024 * 1024;
/// Bytes after which the list in the file is brought up to date and the disk is looked at.
const CHECKED_EVERY: u64 = 128 * 1024 * 1024;
const PAGE: u64 = 4096;

/// Why not everything is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Size,
    FreeSpace,
    Time,
}

impl Cut {
    fn text(self) -> &'static str {
        match self {
            Self::Size => "the dump reached its greatest size (limit max_dump_bytes)",
            Self::FreeSpace => "so much must stay free on the disk (limit min_free_bytes)",
            Self::Time => "no time was left (setting budget_s)",
        }
    }
}

impl DumpWriter<'_> {
    /// Writes ranges that do not overlap. Pages that cannot be read are zeros, and counted.
    pub(super) fn memory64(&mut self, wanted: &[Wanted]) -> StreamResult {
        let ranges = by_worth(self.snapshot, wanted);
        let sink = self.dump.begin_large(ranges.len())?;
        let (mut written, end) = std::thread::scope(|scope| {
            let stream = Stream {
                snapshot: self.snapshot,
                dump: &mut self.dump,
                soft_errors: self.soft_errors,
                deadline: self.deadline,
                pipeline: Pipeline::start(scope, sink),
                ranges: &ranges,
                bytes: 0,
                checked: 0,
                unreadable: Unreadable::default(),
            };
            stream.run()
        });
        if end.is_err() && !self.dump.is_plain() {
            // Its last frame has no end: what is behind the front cannot be unpacked.
            self.dump.abandon_compression();
            written = 0;
        }
        self.dump.publish_large(&prefix(&ranges, written))?;
        let left_out = length(&ranges).saturating_sub(written);
        if left_out > 0 {
            self.dump.mark_cut();
            let why = end
                .map_or_else(|error| error.to_string(), |cut| cut.map_or("", Cut::text).to_owned());
            let message = format!("{left_out} of {} bytes are left out: {why}", length(&ranges));
            self.soft_errors.add("memory_cut", "stream memory64", message);
        }
        // The list before told nothing of this stream.
        let soft_errors = self.soft_errors.to_json().to_string();
        self.dump.replace_stream(stream_type::MOZ_SOFT_ERRORS, soft_errors.as_bytes())
    }
}

/// Stacks, then what the program can write, then the rest; without what is private.
fn by_worth(snapshot: &dyn ProcessSnapshot, wanted: &[Wanted]) -> Vec<Range<u64>> {
    let regions = snapshot.regions();
    let region_of = |address: u64| {
        let index = regions.partition_point(|region| region.start <= address).checked_sub(1)?;
        regions.get(index)
    };
    let threads = snapshot.threads().iter().filter_map(|thread| thread.registers.as_ref());
    let stacks: Vec<u64> =
        threads.filter_map(|registers| Some(region_of(registers.rsp)?.start)).collect();
    let private = ranges::merged(snapshot.private().to_vec());
    let wanted: Vec<Range<u64>> = wanted.iter().map(|wanted| wanted.range.clone()).collect();
    let mut ranges = ranges::without(&wanted, &private);
    ranges.sort_by_cached_key(|range| match region_of(range.start) {
        Some(region) if stacks.contains(&region.start) => 0,
        Some(region) if region.is_writable && !region.is_shared => 1,
        _ => 2,
    });
    ranges
}

fn length(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add)
}

/// The first `bytes` bytes of the ranges.
fn prefix(ranges: &[Range<u64>], bytes: u64) -> Vec<Range<u64>> {
    let mut left = bytes;
    let mut kept = Vec::new();
    for range in ranges {
        let length = range.end.saturating_sub(range.start).min(left);
        if length == 0 {
            break;
        }
        kept.push(range.start..range.start.saturating_add(length));
        left = left.saturating_sub(length);
    }
    kept
}

/// Pages that stand in the dump as zeros because they could not be read.
#[derive(Debug, Default)]
struct Unreadable {
    pages: u64,
    first: Option<u64>,
}

impl Unreadable {
    fn add(&mut self, address: u64, pages: u64) {
        if pages == 0 {
            return;
        }
        self.first.get_or_insert(address);
        self.pages = self.pages.saturating_add(pages);
    }
}

/// The large memory on its way from the process into the file.
struct Stream<'a, 'scope> {
    snapshot: &'a dyn ProcessSnapshot,
    dump: &'a mut DumpFile,
    soft_errors: &'a mut SoftErrors,
    deadline: Option<Instant>,
    pipeline: Pipeline<'scope>,
    ranges: &'a [Range<u64>],
    /// Handed to the pipeline so far.
    bytes: u64,
    /// When the list and the disk were looked at.
    checked: u64,
    unreadable: Unreadable,
}

impl Stream<'_, '_> {
    /// Gives the bytes that are safe in the file, and why there are not more.
    fn run(mut self) -> (u64, io::Result<Option<Cut>>) {
        let cut = self.all();
        let (safe, written) = self.pipeline.finish();
        if let Some(first) = self.unreadable.first {
            let pages = self.unreadable.pages;
            let message =
                format!("{pages} pages could not be read, the first at {first:#x}: zeros");
            self.soft_errors.add("memory_not_read", "stream memory64", message);
        }
        (safe, written.map(|()| cut))
    }

    fn all(&mut self) -> Option<Cut> {
        for range in self.ranges {
            let mut at = range.start;
            while at < range.end {
                let touched = self.snapshot.next_touched(&(at..range.end));
                let touched = touched.unwrap_or(range.end..range.end);
                let end = touched.start.saturating_add(CHUNK).min(touched.end);
                let length = end.saturating_sub(at);
                if let Some(cut) = self.must_stop(length) {
                    return Some(cut);
                }
                self.pipeline.skip(touched.start.saturating_sub(at));
                self.read(touched.start..end);
                self.bytes = self.bytes.saturating_add(length);
                at = end;
            }
        }
        None
    }

    /// Looks at every limit before so many more bytes.
    fn must_stop(&mut self, next: u64) -> Option<Cut> {
        let on_the_way = self.bytes.saturating_sub(self.pipeline.safe_bytes());
        let used = self.pipeline.used().map(|used| used.saturating_add(on_the_way));
        let used = used.unwrap_or(self.bytes).saturating_add(next);
        if self.dump.large_room().is_some_and(|room| used > room) {
            return Some(Cut::Size);
        }
        // Whoever waits for the dump ends the monitor when the whole budget is over.
        if self.deadline.is_some_and(|at| Instant::now() >= at) {
            return Some(Cut::Time);
        }
        if self.bytes == 0 || self.bytes.saturating_sub(self.checked) >= CHECKED_EVERY {
            self.checked = self.bytes;
            if disk::is_short(self.dump, CHECKED_EVERY.min(length(self.ranges))) {
                return Some(Cut::FreeSpace);
            }
            if self.dump.is_plain() {
                let safe = prefix(self.ranges, self.pipeline.safe_bytes());
                // Only for a dump that is never finished; an error shows in the end.
                self.dump.publish_large(&safe).ok();
            }
        }
        None
    }

    /// Reads at once, or page by page where that fails.
    fn read(&mut self, range: Range<u64>) {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let Some(mut buffer) = self.pipeline.buffer() else { return };
        buffer.resize(length, 0);
        let memory = self.snapshot.memory();
        if length > 0 && memory.read(range.start, &mut buffer).is_err() {
            // Memory of a device, for example: nothing of it can be read, however long it is.
            let last = range.end.saturating_sub(1);
            let is_dead = [range.start, last].map(|at| memory.read(at, &mut [0]).is_err());
            if is_dead == [true, true] && self.unreadable.first.is_some() {
                self.unreadable.add(range.start, pages(length));
                buffer.fill(0);
            } else {
                self.read_pages(range.start, &mut buffer);
            }
        }
        self.pipeline.put(buffer);
    }

    fn read_pages(&mut self, start: u64, buffer: &mut [u8]) {
        let mut at = start;
        let mut rest = buffer;
        while !rest.is_empty() {
            let piece = usize::try_from(PAGE.saturating_sub(at % PAGE)).unwrap_or(1);
            let (page, behind) = rest.split_at_mut(piece.min(rest.len()));
            if self.snapshot.memory().read(at, page).is_err() {
                page.fill(0);
                // A guard page among others is no memory that is missing.
                let is_memory = self.snapshot.next_touched(&(at..at.saturating_add(1))).is_some();
                self.unreadable.add(at, u64::from(is_memory));
            }
            at = at.saturating_add(u64::try_from(page.len()).unwrap_or(PAGE));
            rest = behind;
        }
    }
}

fn pages(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(0).div_ceil(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // One range is what is meant.
    fn a_prefix_ends_inside_a_range() {
        let ranges = [10..20, 50..60];
        assert_eq!(prefix(&ranges, 0), Vec::<Range<u64>>::new());
        assert_eq!(prefix(&ranges, 10), [10..20]);
        assert_eq!(prefix(&ranges, 13), [10..20, 50..53]);
        assert_eq!(prefix(&ranges, 99), ranges);
        assert_eq!(length(&ranges), 20);
    }
}
