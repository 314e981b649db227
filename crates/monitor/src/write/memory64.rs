//! `Memory64ListStream`: large memory, streamed to the end of the file.

use super::{DumpWriter, StreamResult, Wanted};

impl DumpWriter<'_> {
    /// Writes ranges that are sorted and do not overlap.
    pub(super) fn memory64(&mut self, wanted: &[Wanted]) -> StreamResult {
        let length = |w: &Wanted| w.range.end.saturating_sub(w.range.start);
        let bytes = wanted.iter().map(length).fold(0, u64::saturating_add);
        let message = format!("{} ranges, {bytes} bytes are left out", wanted.len());
        self.soft_errors.add("memory_not_written", "stream memory64", message);
        Ok(())
    }
}
