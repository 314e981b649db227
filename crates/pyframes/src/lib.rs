//! CPython threads and frames read from the memory of a stopped process.
//!
//! Owns: the layouts of CPython's structures by version, the walk from `_PyRuntime` over
//! interpreters and thread states to frames, the decoding of line tables, and how `_PyRuntime`
//! is found where nobody tells ([`find`]). Does not own: how memory is read ([`Memory`] is
//! given), the layout of the stream that the result is written to (`lastwords-format`).
//!
//! The process may have died of a corrupt heap, so every byte is foreign: sizes, counts and
//! walks are bounded ([`Limits`]), types are checked, and what cannot be read becomes a
//! [`SoftError`] beside the rest.
#![forbid(unsafe_code)]

mod code;
mod debug_build;
mod details;
mod error;
pub mod find;
mod frames;
mod gil;
mod layout;
pub mod lines;
mod memory;
mod objects;
mod pages;
mod recording;
mod secrets;
mod soft_errors;
mod source;
mod threads;
mod values;
mod walk;

#[cfg(test)]
#[path = "../tests/support/interpreters.rs"]
mod interpreters;

use lastwords_format::streams::python::PythonStream;

use crate::code::Codes;
use crate::frames::FrameReader;
use crate::layout::Layout;
use crate::objects::Objects;
use crate::soft_errors::SoftErrors;
use crate::source::Source;

pub use details::{
    Awaited, ChainFrame, ChainLink, ChainedException, DetailsOptions, ExceptionDetails,
    FrameLocals, GeneratorKind, GeneratorOfFrame, Greenlet, LocalsLimits, PythonDetails, REDACTED,
    Task, TaskState, ThreadDetails, Variable, VariableKind,
};
pub use error::{Error, SoftError};
pub use memory::{Memory, MemoryError, read_available};
pub use recording::RecordingMemory;
pub use secrets::{SECRET_WORDS, is_secret_name};

/// Every code that a [`SoftError`] of this crate can carry, and what it means.
pub const SOFT_ERROR_CODES: &[(&str, &str)] = &[
    (
        "python_interpreter_unreadable",
        "an interpreter state could not be read; its threads are missing",
    ),
    (
        "python_thread_unreadable",
        "a thread state could not be read; it and those after it are missing",
    ),
    ("python_frames_broken", "a walk over frames ended in an error; older frames may be missing"),
    ("python_frame_partial", "the frame is known, but not all of its names and lines"),
    ("python_anchor_unknown", "the frames are known, but not which native frame ran them"),
    (
        "python_layout_assumed",
        "the target's own offsets cannot be used, and the built-in ones were; or they are all \
         that is known of its version",
    ),
    ("python_exception_unknown", "the type of a thread's pending exception could not be read"),
    ("python_gil_unknown", "who holds the GIL could not be read"),
    ("python_build_unknown", "whether the target is a debug build could not be read"),
    ("python_limit", "a limit ended the reading; there was more"),
    ("python_details_unknown", "the layout of this build's objects is not known; only frames are"),
    ("python_details_partial", "a task, an exception, variables or the like could not be read"),
];

/// Which interpreter to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// `PY_VERSION_HEX`.
    pub python_version: u32,
}

/// Bounds of the work that hostile memory can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Thread states, over all interpreters.
    pub max_threads: usize,
    /// Frames of one thread.
    pub max_frames: usize,
    /// Frames of all threads together.
    pub max_total_frames: usize,
    /// Bytes (UTF-8) of one string; longer ones are cut.
    pub max_string: usize,
    /// Bytes of one line table; lines of a larger one are not known.
    pub max_line_table: usize,
    /// Reads from the target (each is a system call).
    pub max_reads: usize,
    /// Bytes read from the target, searched in line tables and copied into frames, together.
    pub max_bytes: usize,
    /// Soft errors that are listed; further ones are counted in a last one.
    pub max_soft_errors: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_threads: 512,
            max_frames: 4_096,
            max_total_frames: 65_536,
            max_string: 4 * 1024,
            max_line_table: 256 * 1024,
            max_reads: 400_000,
            max_bytes: 32 * 1024 * 1024,
            max_soft_errors: 64,
        }
    }
}

/// What was read, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Threads and frames.
    pub stream: PythonStream,
    /// What was read beside them; empty unless it was asked for.
    pub details: PythonDetails,
    /// What is missing from both.
    pub soft_errors: Vec<SoftError>,
}

/// Reads all threads of all interpreters, and their frames.
///
/// The threads of the target must be stopped, or what is read is torn. Costs about one read
/// per frame and five per distinct code object.
///
/// # Errors
/// [`Error`] when the version is not known, or what lies at `runtime_address` is not a
/// runtime with at least one interpreter and thread. Everything else is a [`SoftError`].
pub fn read_python(
    memory: &dyn Memory,
    target: &Target,
    limits: &Limits,
) -> Result<Outcome, Error> {
    read_frames(memory, target, limits).map(|(_, outcome)| outcome)
}

/// As [`read_python`], and then names of threads, exceptions, tasks of asyncio, greenlets, and
/// local variables if `options` say so.
///
/// Nothing of the target runs. What the program computes with, and every text, is read by
/// [`Memory::read_unrecorded`]. Costs some ten reads per thread and per frame of a task, one per
/// page of objects where greenlets are searched, a few per value.
///
/// # Errors
/// As [`read_python`]; what is missing from details is a [`SoftError`].
pub fn read_python_with_details(
    memory: &dyn Memory,
    target: &Target,
    limits: &Limits,
    options: &DetailsOptions,
) -> Result<Outcome, Error> {
    let (layout, mut outcome) = read_frames(memory, target, limits)?;
    let (details, soft_errors) =
        values::read(memory, layout, target, limits, options, &outcome.stream);
    outcome.details = details;
    let room = limits.max_soft_errors.saturating_add(1).saturating_sub(outcome.soft_errors.len());
    outcome.soft_errors.extend(soft_errors.into_iter().take(room));
    Ok(outcome)
}

fn read_frames(
    memory: &dyn Memory,
    target: &Target,
    limits: &Limits,
) -> Result<(Layout, Outcome), Error> {
    let mut source = Source::new(memory, limits);
    let (layout, assumed) =
        layout::choose(&mut source, target.runtime_address, target.python_version)?;
    let mut soft_errors = SoftErrors::new(limits.max_soft_errors);
    if let Some(SoftError { code, where_, message }) = assumed {
        soft_errors.push(code, where_, message);
    }
    let objects = Objects::new(source, layout, limits);
    let reader = FrameReader { objects, codes: Codes::default(), soft_errors };
    Ok((layout, threads::read(reader, target, limits)?))
}
