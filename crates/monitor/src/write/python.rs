//! The Python stream, and the raw memory behind it.

use lastwords_format::streams::stream_type;
use lastwords_pyframes::{Limits, RecordingMemory, Target, read_python};

use super::{DumpWriter, Reason, StreamResult, Wanted};
use crate::snapshot::PythonTarget;

/// Most evidence behind the Python stream.
const MOST_EVIDENCE: u64 = 4 * 1024 * 1024;
const MOST_EVIDENCE_RANGES: usize = 20_000;

impl DumpWriter<'_> {
    pub(super) fn python(&mut self, target: Option<PythonTarget>) -> StreamResult {
        let Some(target) = target else { return Ok(()) };
        let memory = self.snapshot.memory();
        let recording = RecordingMemory::new(memory, MOST_EVIDENCE, MOST_EVIDENCE_RANGES);
        let target =
            Target { runtime_address: target.runtime_address, python_version: target.version };
        let outcome = read_python(&recording, &target, &Limits::default());
        let evidence = recording.ranges().into_iter();
        self.wanted.extend(evidence.map(|range| Wanted::new(range, Reason::Python)));
        if recording.is_cut() {
            self.soft_errors.add("evidence_cut", "stream python", "raw Python memory was cut");
        }
        match outcome {
            Ok(outcome) => {
                for error in outcome.soft_errors {
                    self.soft_errors.add(error.code, error.where_, error.message);
                }
                self.dump.add_stream(stream_type::LASTWORDS_PYTHON, &outcome.stream.encode())
            }
            Err(error) => {
                self.soft_errors.add("python_not_read", "stream python", error);
                Ok(())
            }
        }
    }
}
