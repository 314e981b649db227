//! The analysis document (`docs/formats/analysis.md`), as far as the page shows it.
//!
//! Every key may be missing.

use serde::Deserialize;

/// The document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub(crate) crash_info: CrashInfo,
    pub(crate) threads: Vec<Thread>,
    pub(crate) python: Option<Interpreter>,
    pub(crate) lastwords: Own,
    pub(crate) soft_errors: Vec<SoftError>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CrashInfo {
    #[serde(rename = "type")]
    pub(crate) reason: Option<String>,
    pub(crate) crashing_thread: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Own {
    pub(crate) stacks: Source,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Source {
    pub(crate) stopped_us: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SoftError {
    pub(crate) code: Option<String>,
    pub(crate) r#where: Option<String>,
    pub(crate) message: Option<String>,
}

/// The interpreter as a whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Interpreter {
    pub(crate) version: Option<String>,
    pub(crate) finalizing: Option<bool>,
    pub(crate) free_threaded: Option<bool>,
    pub(crate) debug_build: Option<bool>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) greenlets: Vec<Greenlet>,
    pub(crate) unmatched_threads: Vec<UnmatchedThread>,
}

/// A Python thread of which no native thread is known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UnmatchedThread {
    pub(crate) tstate: Option<String>,
    pub(crate) thread_id: Option<u64>,
    pub(crate) frames: Vec<Frame>,
}

/// A task of asyncio.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Task {
    pub(crate) name: Option<String>,
    pub(crate) state: Option<String>,
    /// It runs: its frames are on a thread's stack.
    pub(crate) is_current: bool,
    pub(crate) waits_for: Option<Awaited>,
    /// Innermost first.
    pub(crate) frames: Vec<PythonFrame>,
}

/// What a task waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Awaited {
    #[serde(rename = "type")]
    pub(crate) type_name: Option<String>,
    pub(crate) name: Option<String>,
}

/// A greenlet that does not run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Greenlet {
    pub(crate) address: Option<String>,
    pub(crate) is_suspended: bool,
    pub(crate) frames: Vec<PythonFrame>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Thread {
    pub(crate) thread_id: Option<u64>,
    pub(crate) thread_name: Option<String>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) is_whole: Option<bool>,
    pub(crate) python: Option<PythonThread>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PythonThread {
    pub(crate) name: Option<String>,
    pub(crate) interpreter_id: Option<u64>,
    pub(crate) holds_gil: bool,
    pub(crate) waits_for_gil: bool,
    pub(crate) collects_garbage: bool,
    pub(crate) is_cut: bool,
    pub(crate) exception_type: Option<String>,
    pub(crate) pending_exception: Option<Exception>,
    pub(crate) handled_exception: Option<Exception>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Exception {
    #[serde(rename = "type")]
    pub(crate) name: Option<String>,
    pub(crate) text: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Frame {
    pub(crate) kind: String,
    pub(crate) trust: Option<String>,
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) module: Option<String>,
    pub(crate) module_offset: Option<String>,
    pub(crate) offset: Option<String>,
    pub(crate) inlines: Option<Vec<Inline>>,
    pub(crate) plumbing: bool,
    pub(crate) unknown_frames: Option<UnknownFrames>,
    pub(crate) omitted_frames: Option<u64>,
    pub(crate) python: Option<PythonFrame>,
}

/// A gap before a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct UnknownFrames {
    pub(crate) about: u64,
    pub(crate) stack_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Inline {
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PythonFrame {
    pub(crate) name: Option<String>,
    pub(crate) qualname: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) end_line: Option<u32>,
    pub(crate) column: Option<u32>,
    pub(crate) end_column: Option<u32>,
    pub(crate) placement: Option<String>,
    pub(crate) is_partial: bool,
    pub(crate) locals: Option<Vec<Local>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Frame {
    pub(crate) fn is_python(&self) -> bool {
        self.kind == "python"
    }
}
