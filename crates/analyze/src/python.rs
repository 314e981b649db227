//! The Python side of a dump: the `LastwordsPython` stream, thread by thread.

use lastwords_format::streams::python::{FrameOwner, PythonFrame, PythonStream, PythonThread};
use lastwords_format::streams::stream_type;
use minidump::Minidump;
use serde_json::{Value, json};

use crate::panics::caught;
use crate::soft_errors::SoftErrors;
use crate::state::Threads;

/// Python frames kept, all threads together: 2 KB each in the document.
const MAX_TOTAL_FRAMES: usize = 32_768;

const WHERE: &str = "stream LastwordsPython";

/// Reads the stream; a dump of another writer has none.
pub(crate) fn read(dump: &Minidump<'_, &[u8]>, errors: &mut SoftErrors) -> Option<PythonStream> {
    let bytes = match dump.get_raw_stream(stream_type::LASTWORDS_PYTHON) {
        Ok(bytes) => bytes,
        Err(minidump::Error::StreamNotFound) => return None,
        Err(error) => {
            errors.push("stream_malformed", WHERE, format!("the stream cannot be read: {error}"));
            return None;
        }
    };
    match caught(|| PythonStream::decode(bytes)) {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            errors.push("stream_malformed", WHERE, error.to_string());
            None
        }
        Err(panic) => {
            errors.push("stream_malformed", WHERE, panic);
            None
        }
    }
}

/// The Python threads that run on one native thread, and their frames in stack order.
///
/// Several interpreters in one process have several thread states on one native thread; their
/// frames are interleaved by anchor.
#[derive(Debug, Default)]
pub(crate) struct OnThread<'a> {
    /// Its thread states; that of the newest frame first.
    pub(crate) states: Vec<&'a PythonThread>,
    /// Newest first.
    pub(crate) frames: Vec<&'a PythonFrame>,
    /// Frames left out, and the index in `frames` of the first frame behind them.
    pub(crate) omitted: Option<(usize, usize)>,
}

impl<'a> OnThread<'a> {
    fn new(mut states: Vec<&'a PythonThread>) -> Self {
        states.sort_by_key(|state| newest_anchor(state));
        let mut runs: Vec<(u64, &PythonFrame)> = Vec::new();
        for state in &states {
            let mut anchor = newest_anchor(state);
            for frame in &state.frames {
                anchor = frame.anchor.map_or(anchor, |own| own.max(anchor));
                runs.push((anchor, frame));
            }
        }
        if states.len() > 1 {
            runs.sort_by_key(|(anchor, _)| *anchor);
        }
        let frames = runs.into_iter().map(|(_, frame)| frame).collect();
        Self { states, frames, omitted: None }
    }

    /// Keeps the newest and the oldest half of `max` frames.
    fn limit(&mut self, max: usize) {
        let left_out = self.frames.len().saturating_sub(max);
        if left_out > 0 {
            let head = max.saturating_sub(max / 2);
            self.frames.drain(head..head.saturating_add(left_out));
            self.omitted = Some((left_out, head));
        }
    }

    /// Their anchors, newest first.
    pub(crate) fn anchors(&self) -> Vec<Option<u64>> {
        self.frames.iter().map(|frame| frame.anchor).collect()
    }

    /// The key `python` of a thread.
    pub(crate) fn to_json(&self) -> Value {
        let Some(state) = self.states.first() else { return Value::Null };
        json!({
            "tstate": hex(state.tstate),
            "interpreter_id": state.interpreter_id,
            "holds_gil": self.states.iter().any(|state| state.holds_gil),
            "collects_garbage": self.states.iter().any(|state| state.is_collecting),
            "interpreter_finalizing":
                self.states.iter().any(|state| state.is_interpreter_finalizing),
            "exception_type": self.states.iter().find_map(|s| s.exception_type.as_ref()),
            "is_cut": self.states.iter().any(|state| state.is_cut || state.is_broken),
        })
    }
}

fn newest_anchor(state: &PythonThread) -> u64 {
    state.frames.iter().find_map(|frame| frame.anchor).unwrap_or(u64::MAX)
}

/// Which Python threads run on which native thread.
#[derive(Debug, Default)]
pub(crate) struct ByThread<'a> {
    /// In the order of the dump's thread list.
    pub(crate) threads: Vec<OnThread<'a>>,
    /// Python threads of which the dump has no native thread.
    pub(crate) unmatched: Vec<&'a PythonThread>,
}

impl<'a> ByThread<'a> {
    /// Matches by native thread id; where that is not known (Python 3.10), by the thread pointer,
    /// which is what `pthread_self()` returns on Linux, or by the stack that the anchors lie on.
    ///
    /// Of each thread `max_frames` frames are kept; the one that crashed gets them first.
    pub(crate) fn of(
        stream: Option<&'a PythonStream>,
        threads: &Threads<'_>,
        max_frames: usize,
        soft_errors: &mut SoftErrors,
    ) -> Self {
        let mut states: Vec<Vec<&PythonThread>> = vec![Vec::new(); threads.list.len()];
        let mut unmatched = Vec::new();
        let all = stream.map(|stream| stream.threads.as_slice()).unwrap_or_default();
        let ids: std::collections::HashMap<u64, usize> = threads
            .list
            .iter()
            .enumerate()
            .map(|(index, thread)| (u64::from(thread.raw.thread_id), index))
            .collect();
        for state in all {
            let by_id = state.native_thread_id.and_then(|id| ids.get(&id).copied());
            let index = by_id.or_else(|| by_thread_pointer(state, threads));
            let index = index.or_else(|| by_stack(state, threads));
            match index.and_then(|index| states.get_mut(index)) {
                Some(states) => states.push(state),
                None => unmatched.push(state),
            }
        }
        let mut on_threads: Vec<_> = states.into_iter().map(OnThread::new).collect();
        let crashed = threads.requesting_thread();
        let others = (0..on_threads.len()).filter(|index| Some(*index) != crashed);
        let mut left = MAX_TOTAL_FRAMES;
        for index in crashed.into_iter().chain(others) {
            let Some(on_thread) = on_threads.get_mut(index) else { continue };
            on_thread.limit(max_frames.min(left));
            left = left.saturating_sub(on_thread.frames.len());
            if let Some((count, _)) = on_thread.omitted {
                let id = threads.list.get(index).map_or(0, |thread| thread.raw.thread_id);
                let message = format!("{count} Python frames in the middle are left out");
                soft_errors.push("frames_cut", format!("thread {id}"), message);
            }
        }
        Self { threads: on_threads, unmatched }
    }
}

/// `teb` holds the base of FS in dumps of Linux made by us, 0 in those of others.
fn by_thread_pointer(state: &PythonThread, threads: &Threads<'_>) -> Option<usize> {
    let is_it = |pointer: u64| pointer != 0 && pointer == state.thread_id;
    threads.list.iter().position(|thread| is_it(thread.raw.teb))
}

fn by_stack(state: &PythonThread, threads: &Threads<'_>) -> Option<usize> {
    let anchor = state.frames.iter().find_map(|frame| frame.anchor)?;
    threads.list.iter().position(|thread| {
        let range = thread.stack_memory(&threads.memory).and_then(|stack| stack.memory_range());
        range.is_some_and(|range| range.contains(anchor))
    })
}

/// Threads without a native one that are shown, and frames of each.
const MAX_UNMATCHED_THREADS: usize = 64;
const MAX_UNMATCHED_FRAMES: usize = 256;

/// The key `python` of the document.
pub(crate) fn summary(
    stream: &PythonStream,
    by_thread: &ByThread<'_>,
    crashed: Option<usize>,
) -> Value {
    let states = crashed.and_then(|index| by_thread.threads.get(index)).map(|on| &on.states);
    let exception = states.into_iter().flatten().find_map(|state| state.exception_type.as_ref());
    let holder = by_thread.threads.iter().position(|thread| {
        thread.states.iter().any(|s| s.holds_gil || stream.gil_holder == Some(s.tstate))
    });
    let unmatched: Vec<Value> = by_thread
        .unmatched
        .iter()
        .take(MAX_UNMATCHED_THREADS)
        .map(|state| unmatched_json(state))
        .collect();
    json!({
        "version": version(stream.python_version),
        "threads": stream.threads.len(),
        "gil_holder_thread": holder,
        "finalizing": stream.is_finalizing,
        "free_threaded": stream.is_free_threaded,
        "debug_build": stream.is_debug_build,
        "is_cut": stream.is_cut,
        "exception": Value::Null,
        "exception": exception,
        "unmatched_threads": unmatched,
    })
}

fn unmatched_json(state: &PythonThread) -> Value {
    let shown = state.frames.iter().take(MAX_UNMATCHED_FRAMES);
    let frames: Vec<Value> = shown.map(|frame| frame_json(frame, "unplaced")).collect();
    json!({
        "tstate": hex(state.tstate),
        "interpreter_id": state.interpreter_id,
        "thread_id": state.native_thread_id,
        "frame_count": state.frames.len(),
        "frames": frames,
    })
}

/// One Python frame, with the keys that readers of minidump-stackwalk's JSON know.
pub(crate) fn frame_json(frame: &PythonFrame, placement: &str) -> Value {
    json!({
        "kind": "python",
        "trust": "python",
        "function": frame.qualname.as_ref().or(frame.name.as_ref()),
        "file": frame.file,
        "line": frame.line,
        "module": Value::Null,
        "module_offset": Value::Null,
        "offset": Value::Null,
        "function_offset": Value::Null,
        "inlines": Value::Null,
        "unloaded_modules": Value::Null,
        "missing_symbols": false,
        "python": {
            "frame": hex(frame.frame),
            "code": hex(frame.code),
            "owner": owner_name(frame.owner),
            "is_entry": frame.is_entry,
            "name": frame.name,
            "qualname": frame.qualname,
            "file": frame.file,
            "line": frame.line,
            "end_line": frame.end_line,
            "column": frame.column,
            "end_column": frame.end_column,
            "placement": placement,
            "is_partial": frame.is_partial,
        },
    })
}

fn owner_name(owner: FrameOwner) -> &'static str {
    match owner {
        FrameOwner::Thread => "thread",
        FrameOwner::Generator => "generator",
        FrameOwner::FrameObject => "frame_object",
        FrameOwner::CStack => "c_stack",
        FrameOwner::Unknown => "unknown",
    }
}

pub(crate) fn hex(address: u64) -> String {
    format!("{address:#018x}")
}

/// `PY_VERSION_HEX` as people write it: 0x030B07F0 is 3.11.7, 0x030E00A2 is 3.14.0a2.
fn version(hex: u32) -> String {
    let [major, minor, micro, release] = hex.to_be_bytes();
    let (level, serial) = (release >> 4, release & 0xf);
    let suffix = match level {
        0xa => format!("a{serial}"),
        0xb => format!("b{serial}"),
        0xc => format!("rc{serial}"),
        _ => String::new(),
    };
    format!("{major}.{minor}.{micro}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_people_write_them() {
        assert_eq!(version(0x030B_07F0), "3.11.7");
        assert_eq!(version(0x030E_00A2), "3.14.0a2");
        assert_eq!(version(0x030D_00C1), "3.13.0rc1");
    }

    fn frame(anchor: u64, name: &str) -> PythonFrame {
        PythonFrame {
            anchor: Some(anchor).filter(|anchor| *anchor != 0),
            name: Some(name.into()),
            ..PythonFrame::default()
        }
    }

    #[test]
    fn frames_of_two_interpreters_on_one_thread_are_interleaved_by_anchor() {
        let outer = PythonThread {
            frames: vec![frame(30, "a"), frame(0, "b"), frame(90, "c")],
            ..PythonThread::default()
        };
        let inner = PythonThread {
            interpreter_id: 1,
            frames: vec![frame(50, "x"), frame(60, "y")],
            ..PythonThread::default()
        };
        let on_thread = OnThread::new(vec![&inner, &outer]);
        let names: Vec<_> = on_thread.frames.iter().map(|f| f.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["a", "b", "x", "y", "c"]);
        assert_eq!(on_thread.states[0].interpreter_id, 0);
    }
}
