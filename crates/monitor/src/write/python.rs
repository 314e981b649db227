//! The Python stream, and the raw memory behind it.

use std::ops::Range;

use lastwords_format::streams::memory_list::MemoryRange;
use lastwords_format::streams::python::PythonStream;
use lastwords_format::streams::stream_type;
use lastwords_pyframes::{Limits, RecordingMemory, Target, read_python_with_details};

use super::{DumpWriter, Reason, StreamResult, Wanted};
use crate::paths::PathScrubber;
use crate::plan::DumpFlags;
use crate::python_stacks::elsewhere;
use crate::snapshot::{Crash, PythonTarget};

/// Most evidence behind the Python stream, and most with `WithFullAuxiliaryState`.
const MOST_EVIDENCE: u64 = 4 * 1024 * 1024;
const MOST_FULL_EVIDENCE: u64 = 64 * 1024 * 1024;
const MOST_EVIDENCE_RANGES: usize = 20_000;

impl DumpWriter<'_> {
    pub(super) fn python(&mut self, target: Option<PythonTarget>, crash: &Crash) -> StreamResult {
        let Some(target) = target else { return Ok(()) };
        let is_full = self.flags.contains(DumpFlags::WITH_FULL_AUXILIARY_STATE);
        let most = if is_full { MOST_FULL_EVIDENCE } else { MOST_EVIDENCE };
        let memory = self.snapshot.memory();
        let recording = RecordingMemory::new(memory, most, MOST_EVIDENCE_RANGES);
        let target =
            Target { runtime_address: target.runtime_address, python_version: target.version };
        let options = self.details_options(crash);
        let outcome = read_python_with_details(&recording, &target, &Limits::default(), &options);
        if self.has_evidence() {
            let evidence = recording.ranges().into_iter();
            self.wanted.extend(evidence.map(|range| Wanted::new(range, Reason::Python)));
            if recording.is_cut() {
                self.soft_errors.add("evidence_cut", "stream python", "raw Python memory was cut");
            }
        }
        match outcome {
            Ok(mut outcome) => {
                for error in outcome.soft_errors {
                    self.soft_errors.add(error.code, error.where_, error.message);
                }
                self.add_stacks(&outcome.stream);
                if let Some(paths) = &self.paths {
                    scrub(&mut outcome.stream, paths);
                }
                let stream = outcome.stream.encode();
                self.dump.add_stream(stream_type::LASTWORDS_PYTHON, &stream)?;
                self.python_details(outcome.details)
            }
            Err(error) => {
                self.soft_errors.add("python_not_read", "stream python", error);
                Ok(())
            }
        }
    }

    /// Stacks with Python frames that their threads have left for another.
    fn add_stacks(&mut self, stream: &PythonStream) {
        if self.flags.contains(DumpFlags::FILTER_MEMORY) {
            return;
        }
        let end = |range: &MemoryRange| range.start.saturating_add(range.data.size.into());
        let known: Vec<Range<u64>> = self.memory.iter().map(|r| r.start..end(r)).collect();
        let region_at = |address| self.snapshot.region_at(address).copied();
        let others = elsewhere(stream, &known, &region_at);
        self.wanted.extend(others.into_iter().map(|range| Wanted::new(range, Reason::Thread)));
    }

    fn has_evidence(&self) -> bool {
        let without = [
            DumpFlags::FILTER_MEMORY,
            DumpFlags::WITHOUT_OPTIONAL_DATA,
            DumpFlags::WITHOUT_AUXILIARY_STATE,
        ];
        !without.iter().any(|flag| self.flags.contains(*flag))
    }
}

/// Takes the user out of file names. Names of functions stay.
fn scrub(stream: &mut PythonStream, paths: &PathScrubber) {
    for frame in stream.threads.iter_mut().flat_map(|thread| &mut thread.frames) {
        frame.file = frame.file.as_deref().map(|file| paths.path(file));
    }
}
