//! The stacks that Python frames stand on, where threads have left them for another: a signal
//! handler runs on a stack of its own, and the frames that it interrupted are elsewhere.

use std::ops::Range;

use lastwords_format::streams::memory_info_list::Region;
use lastwords_format::streams::python::PythonStream;

/// What is kept below the newest anchor: the native frames between it and the handler.
const BELOW: u64 = 64 * 1024;
/// Most bytes of one stack: those of a dump.
const MOST: u64 = 2 * 1024 * 1024;
const MOST_STACKS: usize = 64;

/// The parts of stacks that anchors lie on and that no range of `known` holds.
pub(crate) fn elsewhere(
    stream: &PythonStream,
    known: &[Range<u64>],
    region_at: &dyn Fn(u64) -> Option<Region>,
) -> Vec<Range<u64>> {
    let newest = stream
        .threads
        .iter()
        .filter_map(|thread| thread.frames.iter().find_map(|frame| frame.anchor));
    let unknown = newest.filter(|anchor| !known.iter().any(|range| range.contains(anchor)));
    let ranges = unknown.filter_map(|anchor| {
        let region = region_at(anchor).filter(|region| region.is_writable)?;
        let start = anchor.saturating_sub(BELOW).max(region.start);
        let end = region.start.saturating_add(region.size).min(start.saturating_add(MOST));
        Some(start..end)
    });
    ranges.take(MOST_STACKS).collect()
}

#[cfg(test)]
mod tests {
    use lastwords_format::streams::python::{PythonFrame, PythonThread};

    use super::*;

    #[test]
    fn only_stacks_that_are_not_known_are_added() {
        let thread = |anchor| PythonThread {
            frames: vec![PythonFrame { anchor: Some(anchor), ..Default::default() }],
            ..PythonThread::default()
        };
        let stream = PythonStream {
            threads: vec![thread(0x1000), thread(0x50_0000), thread(0x90_0000)],
            ..PythonStream::default()
        };
        let region =
            Region { start: 0x40_0000, size: 0x20_0000, is_writable: true, ..Region::default() };
        let region_at = |at: u64| (at < 0x60_0000).then_some(region);
        let known = vec![0..0x1800, 0x1800..0x2000];
        let found = elsewhere(&stream, &known, &region_at);
        assert_eq!(found.first(), Some(&(0x4F_0000..0x60_0000)));
        assert_eq!(found.len(), 1, "nothing is known of the third one's memory");
    }
}
