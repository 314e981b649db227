//! What a thread says on stderr before it gives up: `Py_FatalError`, a Rust panic, a pure virtual call.
//!
//! None of them leaves its text in memory where it could be found later, but all write it to
//! descriptor 2 with `write`, which is hooked by GOT. Any other descriptor costs one comparison; what is
//! written to stderr is looked at only after the kernel has taken it, so a broken pointer stays
//! the caller's affair. Where stderr is closed, there are no last words.
//!
//! The texts may come in pieces, one `write` each. They are recognised by how they begin:
//!
//! | source | text | by |
//! |---|---|---|
//! | 1 | `Fatal Python error: FUNCTION: MESSAGE\n` | CPython, `fatal_error` (`pylifecycle.c`), pieces |
//! | 2 | `thread 'NAME' panicked at FILE:LINE:COLUMN:\nMESSAGE\n`, perhaps after a line break and with a number behind the name | Rust since 1.73 |
//! | 2 | `thread 'NAME' panicked at 'MESSAGE', FILE:LINE:COLUMN\n` | Rust before, pieces |
//! | 2 | `fatal runtime error: MESSAGE\n` | Rust's standard library |
//! | 3 | `pure virtual method called\n`, `deleted virtual method called\n` | libstdc++ |
//!
//! Async-signal-safe, without locks: two threads at once have a slot each.

use std::arch::naked_asm;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use libc::{c_int, c_void};

use crate::got::{self, Hook, Thunk, every_module};
use crate::handler::ARMED;
use crate::shared::words::{SLOTS, Slot, Source};
use crate::sys;

static WRITE: AtomicUsize = AtomicUsize::new(0);
/// The threads whose texts are not complete yet, one per slot; 0 = none.
static UNFINISHED: [AtomicI32; SLOTS] = [const { AtomicI32::new(0) }; SLOTS];
/// A second text of a thread so soon after its first one belongs to it: a panic that must not
/// unwind is told by one more panic.
const SAME_STORY_NS: u64 = 5_000_000_000;

static HOOKS: &[Hook] = &[Hook {
    symbol: c"write",
    thunks: &[Thunk { replacement: || (write as *const ()).expose_provenance(), original: &WRITE }],
    wanted: every_module,
}];

type Write = unsafe extern "C-unwind" fn(c_int, *const c_void, usize) -> isize;

/// Call under the arming lock.
pub(crate) fn enable() {
    got::add(HOOKS);
}

/// `ssize_t write(int fd, const void *buf, size_t count)`.
#[unsafe(naked)]
unsafe extern "C" fn write() {
    naked_asm!(
        "endbr64",
        "cmp edi, 2",
        "je {stderr}",
        "jmp qword ptr [rip + {original}]",
        stderr = sym write_to_stderr,
        original = sym WRITE,
    )
}

/// Unwinds when the thread is cancelled in `write`.
unsafe extern "C-unwind" fn write_to_stderr(
    fd: c_int,
    text: *const c_void,
    length: usize,
) -> isize {
    // SAFETY: a hook's original is set before it is put anywhere, and is of this type.
    let original = unsafe { std::mem::transmute::<usize, Write>(WRITE.load(Ordering::Acquire)) };
    // SAFETY: the caller's arguments.
    let written = unsafe { original(fd, text, length) };
    if let Ok(length) = usize::try_from(written) {
        // SAFETY: the kernel has just read these bytes.
        let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
        let errno = sys::errno();
        look_at(text);
        sys::set_errno(errno);
    }
    written
}

fn source_of(text: &[u8]) -> Option<Source> {
    let text = text.strip_prefix(b"\n").unwrap_or(text);
    let begins = |with: &[u8]| text.starts_with(with);
    if begins(b"Fatal Python error: ") {
        Some(Source::PythonFatalError)
    } else if begins(b"thread '") || begins(b"fatal runtime error: ") {
        Some(Source::RustPanic)
    } else if begins(b"pure virtual method called") || begins(b"deleted virtual method called") {
        Some(Source::PureVirtualCall)
    } else {
        None
    }
}

fn look_at(text: &[u8]) {
    let source = source_of(text);
    let is_anyone_unfinished = UNFINISHED.iter().any(|tid| tid.load(Ordering::Relaxed) != 0);
    let area = ARMED.area.load(Ordering::Acquire);
    if area.is_null() || (source.is_none() && !is_anyone_unfinished) {
        return;
    }
    let tid = sys::gettid();
    let own = UNFINISHED.iter().position(|unfinished| unfinished.load(Ordering::Relaxed) == tid);
    let slot = match (source, own) {
        (_, Some(index)) => Slot::at(area, index).filter(|slot| slot.add(tid, text)),
        (Some(source), None) => begin(area, tid, source, text),
        (None, None) => return,
    };
    let index = slot.as_ref().map(Slot::index).or(own);
    let slot = slot.filter(|slot| !slot.is_full());
    let is_open =
        slot.is_some_and(|slot| slot.with_text(|source, text| !is_complete(source, text)));
    if let Some(unfinished) = index.and_then(|index| UNFINISHED.get(index)) {
        unfinished.store(if is_open { tid } else { 0 }, Ordering::Relaxed);
    }
}

/// The thread's own slot, an empty one, or the oldest one.
fn begin(area: *mut u8, tid: c_int, source: Source, text: &[u8]) -> Option<Slot> {
    let now_ns = sys::clock_ns(libc::CLOCK_REALTIME);
    let slots = || (0..SLOTS).filter_map(|index| Slot::at(area, index));
    if let Some(own) = slots().find(|slot| slot.tid() == tid) {
        let is_same = now_ns.saturating_sub(own.time_ns()) < SAME_STORY_NS;
        let is_kept = is_same && own.source() == Some(source) && own.add(tid, text);
        return (is_kept || own.begin(tid, source, now_ns, text)).then_some(own);
    }
    let mut slots = [slots().next()?, slots().next_back()?];
    slots.sort_unstable_by_key(Slot::time_ns);
    slots.into_iter().find(|slot| slot.begin(tid, source, now_ns, text))
}

/// Whether a text needs no further piece.
fn is_complete(source: Source, text: &[u8]) -> bool {
    if source != Source::RustPanic {
        return text.ends_with(b"\n");
    }
    let story = text.strip_prefix(b"\n").unwrap_or(text);
    let mut lines = story.split(|byte| *byte == b'\n').rev();
    let is_line_ended = lines.next() == Some(&[]);
    // A line that ends with a colon is followed by the message.
    is_line_ended && !lines.next().is_some_and(|line| line.ends_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fatal_texts_are_taken() {
        assert_eq!(source_of(b"Fatal Python error: "), Some(Source::PythonFatalError));
        assert_eq!(source_of(b"\nthread 'x' panicked at a.rs:1:2:\nm\n"), Some(Source::RustPanic));
        assert_eq!(source_of(b"pure virtual method called\n"), Some(Source::PureVirtualCall));
        assert_eq!(source_of(b"Traceback (most recent call last):\n"), None);
        assert_eq!(source_of(b""), None);
    }

    #[test]
    fn a_text_is_complete_with_its_message() {
        let rust = |text: &str| is_complete(Source::RustPanic, text.as_bytes());
        assert!(rust("thread 'main' panicked at a.rs:1:2:\nmessage\n"));
        assert!(rust("\nthread 'main' (7) panicked at a.rs:1:2:\nleft\nright\n"));
        assert!(rust("thread 'main' panicked at 'message', a.rs:1:2\n"));
        assert!(!rust("thread 'main' panicked at a.rs:1:2:\n"));
        assert!(!rust("thread 'main' panicked at a.rs:1:2:\nmess"));
        assert!(!rust("thread '"));
        assert!(!is_complete(Source::PythonFatalError, b"Fatal Python error: f"));
        assert!(is_complete(Source::PythonFatalError, b"Fatal Python error: f: m\n"));
    }
}
