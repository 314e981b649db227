//! `MemoryListStream`: small pieces of memory, and the stacks.

use lastwords_format::Sink;
use lastwords_format::streams::memory_list::MemoryRange;
use lastwords_format::streams::{memory_list, stream_type};

use super::{DumpWriter, StreamResult, Wanted};
use crate::os::linux::read_available;
use crate::ranges;

impl DumpWriter<'_> {
    /// Appends what is wanted and not yet there, then the list of all memory in the dump.
    pub(super) fn memory_list(&mut self, wanted: &[Wanted]) -> StreamResult {
        let end = |range: &MemoryRange| range.start.saturating_add(range.data.size.into());
        let taken = self.memory.iter().map(|r| r.start..end(r));
        let taken = ranges::merged(taken.chain(self.snapshot.private().iter().cloned()).collect());
        let wanted = ranges::merged(wanted.iter().map(|wanted| wanted.range.clone()).collect());
        let mut unreadable = 0_usize;
        for range in ranges::without(&wanted, &taken) {
            if self.is_late() {
                self.soft_errors.add("budget_spent", "stream memory", "memory was left out");
                break;
            }
            let length = range.end.saturating_sub(range.start);
            let bytes = read_available(self.snapshot.memory(), range.start, length);
            if bytes.is_empty() {
                unreadable = unreadable.saturating_add(1);
                continue;
            }
            let data = self.dump.append(&bytes)?;
            self.memory.push(MemoryRange { start: range.start, data });
        }
        if unreadable > 0 {
            let message = format!("{unreadable} ranges could not be read");
            self.soft_errors.add("memory_not_read", "stream memory", message);
        }
        self.memory.retain(|range| range.data.size > 0);
        self.memory.sort_by_key(|range| range.start);
        self.dump.add_stream(stream_type::MEMORY_LIST, &memory_list::encode(&self.memory))
    }
}
