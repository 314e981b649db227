//! What a library of the user adds: streams at once, memory with the rest.

use std::path::Path;

use super::{DumpWriter, Reason, StreamResult, Wanted};
use crate::callback;
use crate::snapshot::Crash;

impl DumpWriter<'_> {
    pub(super) fn callback(&mut self, library: &Path, crash: &Crash) -> StreamResult {
        let memory = self.snapshot.memory();
        let added = callback::run(library, self.snapshot.pid(), crash, memory, self.deadline)?;
        if let Some(problem) = added.problem {
            let place = format!("callback {}", library.display());
            self.soft_errors.add("callback_failed", place, problem);
        }
        let ranges = added.memory.into_iter();
        let ranges = ranges.map(|(start, length)| start..start.saturating_add(length));
        self.wanted.extend(ranges.map(|range| Wanted::new(range, Reason::Callback)));
        for (stream_type, bytes) in added.streams {
            self.dump.add_stream(stream_type, &bytes)?;
        }
        Ok(())
    }
}
