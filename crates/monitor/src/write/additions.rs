//! What a Python function of the application told ahead: streams at once, memory with the rest.

use super::{DumpWriter, Labels, Reason, StreamResult, Wanted};
use crate::callback::is_free_type;
use crate::plan::DumpFlags;

impl DumpWriter<'_> {
    /// Nothing of it goes into dumps that shall tell nothing of the user.
    pub(super) fn additions(&mut self, labels: &Labels) -> StreamResult {
        let filters = [DumpFlags::FILTER_MEMORY, DumpFlags::FILTER_TRIAGE];
        if filters.into_iter().any(|flag| self.flags.contains(flag)) {
            return Ok(());
        }
        for (start, length) in &labels.additions.memory {
            let range = *start..start.saturating_add(*length);
            self.wanted.push(Wanted::new(range, Reason::Callback));
        }
        let streams = labels.additions.streams.iter();
        for (stream_type, bytes) in streams.filter(|(kind, _)| is_free_type(*kind)) {
            self.dump.add_stream(*stream_type, bytes)?;
        }
        Ok(())
    }
}
