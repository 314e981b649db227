//! The Python stacks once more, from the raw memory in the dump.
//!
//! A mini dump of ours holds the structures that its Python stream was made of, and a full dump
//! holds all of them. A reader that knows more than the writer did reads better, so what it reads
//! is taken where it is whole, thread by thread; the writer's word stands for the rest. Where both
//! are whole and do not agree, that is told.

use lastwords_format::streams::python::{PythonStream, PythonThread};
use lastwords_pyframes::{
    DetailsOptions, Limits, LocalsLimits, Memory, MemoryError, PythonDetails, Target,
    read_python_with_details,
};
use minidump::UnifiedMemoryList;

use crate::panics::caught;
use crate::soft_errors::SoftErrors;

/// The memory that a dump holds.
pub(crate) struct DumpMemory<'a>(pub(crate) &'a UnifiedMemoryList<'a>);

impl Memory for DumpMemory<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len();
        let missing = || MemoryError::new(address, length, "not in the dump");
        let (mut at, mut rest) = (address, buffer);
        while !rest.is_empty() {
            let block = self.0.memory_at_address(at).ok_or_else(missing)?;
            let offset = at.checked_sub(block.base_address()).and_then(|o| usize::try_from(o).ok());
            let bytes = offset.and_then(|offset| block.bytes().get(offset..)).unwrap_or_default();
            let size = bytes.len().min(rest.len());
            let (piece, tail) = rest.split_at_mut(size);
            piece.copy_from_slice(bytes.get(..size).unwrap_or_default());
            if size == 0 {
                return Err(missing());
            }
            at = at.saturating_add(size as u64);
            rest = tail;
        }
        Ok(())
    }
}

/// What the stream says, bettered by the memory behind it; and what that memory says beside it.
pub(crate) fn better(
    stream: PythonStream,
    memory: &UnifiedMemoryList<'_>,
    has_locals: bool,
    soft_errors: &mut SoftErrors,
) -> (PythonStream, PythonDetails) {
    let target =
        Target { runtime_address: stream.runtime_address, python_version: stream.python_version };
    let memory = DumpMemory(memory);
    let locals = has_locals.then(LocalsLimits::default);
    let options = DetailsOptions { locals, ..DetailsOptions::default() };
    let limits = Limits::default();
    match caught(|| read_python_with_details(&memory, &target, &limits, &options)) {
        Ok(Ok(outcome)) => (merged(stream, outcome.stream, soft_errors), outcome.details),
        // A dump without the memory: the stream is all there is.
        Ok(Err(_)) => (stream, PythonDetails::default()),
        Err(panic) => {
            soft_errors.push("python_evidence_unreadable", "memory behind Python", panic);
            (stream, PythonDetails::default())
        }
    }
}

fn is_whole(thread: &PythonThread) -> bool {
    let is_known = |frame: &lastwords_format::streams::python::PythonFrame| !frame.is_partial;
    !thread.is_cut && !thread.is_broken && thread.frames.iter().all(is_known)
}

fn merged(
    mut stream: PythonStream,
    evidence: PythonStream,
    soft_errors: &mut SoftErrors,
) -> PythonStream {
    let mut read = evidence.threads;
    for told in &mut stream.threads {
        let Some(index) = read.iter().position(|thread| thread.tstate == told.tstate) else {
            continue;
        };
        let thread = read.swap_remove(index);
        if !is_whole(&thread) {
            continue;
        }
        if is_whole(told) && told.frames != thread.frames {
            let place = format!("thread state at {:#x}", told.tstate);
            soft_errors.push("python_evidence_differs", place, difference(told, &thread));
        }
        *told = thread;
    }
    stream.threads.extend(read);
    stream.is_debug_build |= evidence.is_debug_build;
    stream
}

/// What is different, in one line: the first frame that is not the same.
fn difference(told: &PythonThread, read: &PythonThread) -> String {
    let name = |thread: &PythonThread, index: usize| {
        let frame = thread.frames.get(index);
        let name = frame.and_then(|frame| frame.qualname.as_ref().or(frame.name.as_ref()));
        let line = frame.and_then(|frame| frame.line);
        match (frame, line) {
            (None, _) => "no frame".to_owned(),
            (Some(_), Some(line)) => format!("{}, line {line}", name.map_or("?", |n| n.as_str())),
            (Some(_), None) => name.map_or("?", |n| n.as_str()).to_owned(),
        }
    };
    let count = told.frames.len().max(read.frames.len());
    let differs = |index: &usize| told.frames.get(*index) != read.frames.get(*index);
    let first = (0..count).find(differs).unwrap_or(0);
    format!(
        "frame {first}: the writer says {}, the memory in the dump {}; the memory is taken",
        name(told, first),
        name(read, first)
    )
}

#[cfg(test)]
mod tests {
    use lastwords_format::streams::python::PythonFrame;

    use super::*;

    fn thread(tstate: u64, names: &[&str]) -> PythonThread {
        let frame = |name: &&str| PythonFrame {
            name: Some((*name).to_owned()),
            line: Some(7),
            ..PythonFrame::default()
        };
        PythonThread { tstate, frames: names.iter().map(frame).collect(), ..Default::default() }
    }

    fn stream(threads: Vec<PythonThread>) -> PythonStream {
        PythonStream { threads, ..PythonStream::default() }
    }

    #[test]
    fn whole_memory_is_taken_and_a_difference_told() {
        let mut errors = SoftErrors::default();
        let told = stream(vec![thread(1, &["a", "b"]), thread(2, &["c"])]);
        let read = stream(vec![thread(2, &["c"]), thread(1, &["a", "x"]), thread(3, &["d"])]);
        let better = merged(told, read, &mut errors);
        assert_eq!(better.threads, [thread(1, &["a", "x"]), thread(2, &["c"]), thread(3, &["d"])]);
        let errors = errors.into_list();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.contains("the writer says b, line 7"), "{}", errors[0].message);
        assert!(errors[0].message.contains("the memory in the dump x, line 7"));
    }

    #[test]
    fn torn_memory_leaves_the_writers_word() {
        let mut errors = SoftErrors::default();
        let torn = PythonThread { is_broken: true, ..thread(1, &["a"]) };
        let told = stream(vec![thread(1, &["a", "b"])]);
        assert_eq!(merged(told.clone(), stream(vec![torn]), &mut errors), told);
        assert!(errors.into_list().is_empty());
    }
}
