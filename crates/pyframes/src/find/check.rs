//! Whether a runtime is alive, and which layout fits it.
//!
//! A thread state points back to its interpreter, whatever the version: `interpreters.head` →
//! `threads.head` → `interp`. So a layout that leads there and back is right as far as it goes.

use std::time::Duration;

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::memory::{Memory, MemoryError};
use crate::source::Source;
use crate::{Limits, Target, read_python};

/// `PY_VERSION_HEX` of a release whose minor version alone is known.
const FINAL: u32 = 0xF0;
/// Minor versions whose layouts are asked for; `layout::choose` knows which there are.
const MINORS: std::ops::Range<u32> = 6..32;
/// Ids of interpreters count from 0; those of the kernel's threads have 22 bits.
const MOST_IDS: u64 = 1 << 31;

/// What one look at a structure may cost.
fn limits() -> Limits {
    Limits {
        max_threads: 4,
        max_frames: 64,
        max_total_frames: 128,
        max_reads: 4_000,
        max_bytes: 1024 * 1024,
        ..Limits::default()
    }
}

/// Memory in which nothing stands: a layout that is asked for with it is the built-in one.
struct Nothing;

impl Memory for Nothing {
    fn read(&self, _: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        buffer.fill(0);
        Ok(())
    }
}

/// The built-in layout of each minor version that there is, as a release.
pub(super) fn known_layouts() -> Vec<(u32, Layout)> {
    let versions = MINORS.map(|minor| 3 << 24 | minor << 16 | FINAL);
    versions
        .filter_map(|version| {
            let mut source = Source::new(&Nothing, &limits());
            let (layout, _) = layout::choose(&mut source, 8, version).ok()?;
            Some((version, layout))
        })
        .collect()
}

/// Whether an interpreter with a thread hangs on the runtime; `None` when no layout is known for
/// the version, so that nobody can say.
pub(super) fn is_running(memory: &dyn Memory, runtime_address: u64, version: u32) -> Option<bool> {
    let mut source = Source::new(memory, &limits());
    match layout::choose(&mut source, runtime_address, version) {
        Ok((layout, _)) => {
            let head = layout.runtime.interpreters_head;
            let head = source.record(runtime_address, &[head]).and_then(|record| record.get(head));
            Some(head.is_ok_and(|head| is_interpreter(memory, &layout, head)))
        }
        Err(Error::UnsupportedVersion { .. }) => None,
        Err(_) => Some(false),
    }
}

/// Whether what stands at an address is an interpreter state with a thread, by this layout.
pub(super) fn is_interpreter(memory: &dyn Memory, layout: &Layout, address: u64) -> bool {
    let word = |base: u64, offset: u64| {
        let at = base.checked_add(offset).filter(|at| at.is_multiple_of(8) && base != 0)?;
        let mut bytes = [0; 8];
        memory.read(at, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let fields = layout.interpreter;
    let thread = word(address, fields.threads_head.offset).filter(|thread| *thread != address);
    let Some(thread) = thread else { return false };
    let native_id = layout.thread.native_thread_id.map(|field| word(thread, field.offset));
    word(thread, layout.thread.interp.offset) == Some(address)
        && word(address, fields.id.offset).is_some_and(|id| id < MOST_IDS)
        && native_id.is_none_or(|id| id.is_some_and(|id| id < MOST_IDS))
}

/// Of runtimes and versions that all lead to a thread and back, the one that reads best: with the
/// most whole frames, and the least that is wrong.
pub(super) fn best_reading(memory: &dyn Memory, fitting: &[(u64, u32)]) -> Option<(u64, u32)> {
    if let [only] = fitting {
        return Some(*only);
    }
    let mark = |(runtime_address, python_version): (u64, u32)| {
        let target = Target { runtime_address, python_version };
        let outcome = read_python(memory, &target, &limits()).ok()?;
        let frames = outcome.stream.threads.iter().flat_map(|thread| &thread.frames);
        let whole = frames.filter(|frame| !frame.is_partial).count();
        Some((whole, std::cmp::Reverse(outcome.soft_errors.len())))
    };
    let marked = fitting.iter().filter_map(|fitting| Some((mark(*fitting)?, *fitting)));
    // Of equals the newest version, because `max_by_key` keeps the last.
    marked.max_by_key(|(mark, _)| *mark).map(|(_, fitting)| fitting)
}

/// How long a search may take where nothing else is said.
pub(super) const MAX_TIME: Duration = Duration::from_millis(200);
