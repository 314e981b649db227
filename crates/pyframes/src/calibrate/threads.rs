//! Checks of the runtime, interpreter states, thread states and the GIL.

use super::known::{Known, Verdict};
use crate::layout::Layout;
use crate::layout::fields::FieldId;

/// More interpreters were never made.
const MOST_IDS: u64 = 1 << 31;

pub(super) fn thread_interpreter(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::ThreadInterpreter);
    let threads = std::iter::once(&known.truths.thread).chain(&known.truths.threads);
    let threads = threads.filter(|thread| **thread != 0);
    let interpreter = known.truths.interpreter;
    Verdict::all(threads.map(|thread| Verdict::of(known.word(*thread, offset), interpreter)))
}

fn of_thread(known: &Known<'_>, layout: &Layout, id: FieldId, truth: u64) -> Verdict {
    match truth {
        0 => Verdict::Untold,
        truth => Verdict::of(known.word(known.truths.thread, layout.offset(id)), truth),
    }
}

pub(super) fn thread_id(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_thread(known, layout, FieldId::ThreadId, known.truths.thread_id)
}

pub(super) fn native_thread_id(known: &Known<'_>, layout: &Layout) -> Verdict {
    of_thread(known, layout, FieldId::NativeThreadId, known.truths.native_thread_id)
}

/// The exception that is set: itself (3.12 and later), or its type.
pub(super) fn thread_exception(known: &Known<'_>, layout: &Layout) -> Verdict {
    let truths = known.truths;
    let is_instance = layout.thread.is_exception_instance;
    let is_type_known = !is_instance || super::objects::object_type(known, layout) == Verdict::Fits;
    if truths.exception_type == 0 || !is_type_known {
        return Verdict::Untold;
    }
    let found = known.word(truths.thread, layout.offset(FieldId::ThreadException));
    let kind = match is_instance {
        true => found.and_then(|found| known.word(found, layout.offset(FieldId::ObjectType))),
        false => found,
    };
    Verdict::of(kind, truths.exception_type)
}

/// Whether each structure of a list leads to the next one.
fn is_linked(known: &Known<'_>, offset: Option<u64>, list: &[u64]) -> Verdict {
    let pairs = list.iter().zip(list.iter().skip(1));
    Verdict::all(pairs.map(|(this, next)| Verdict::of(known.word(*this, offset), *next)))
}

pub(super) fn next_thread(known: &Known<'_>, layout: &Layout) -> Verdict {
    is_linked(known, layout.offset(FieldId::NextThread), &known.truths.threads)
}

pub(super) fn next_interpreter(known: &Known<'_>, layout: &Layout) -> Verdict {
    is_linked(known, layout.offset(FieldId::NextInterpreter), &known.truths.interpreters)
}

pub(super) fn threads_head(known: &Known<'_>, layout: &Layout) -> Verdict {
    let Some(first) = known.truths.threads.first() else { return Verdict::Untold };
    Verdict::of(known.word(known.truths.interpreter, layout.offset(FieldId::ThreadsHead)), *first)
}

pub(super) fn interpreter_id(known: &Known<'_>, layout: &Layout) -> Verdict {
    let offset = layout.offset(FieldId::InterpreterId);
    Verdict::of(known.word(known.truths.interpreter, offset), known.truths.interpreter_id)
}

pub(super) fn interpreters_head(known: &Known<'_>, layout: &Layout) -> Verdict {
    let (Some(first), 1..) = (known.truths.interpreters.first(), known.truths.runtime_address)
    else {
        return Verdict::Untold;
    };
    let offset = layout.offset(FieldId::InterpretersHead);
    Verdict::of(known.word(known.truths.runtime_address, offset), *first)
}

/// Whether what stands behind the field is what does so in every version: by that two fields of the
/// runtime are told from others that hold the same.
///
/// `struct pyinterpreters` (3.7 and later): head, main, next_id. `struct _gilstate_runtime_state` (until
/// 3.11): tstate_current, autoInterpreterState; the GIL's last holder is the same thread. `struct
/// _gil_runtime_state`: last_holder, locked; its locks hold ones as well.
pub(super) fn is_among_its_like(known: &Known<'_>, layout: &Layout, id: FieldId) -> bool {
    let behind = |bytes: u64| {
        let offset = layout.offset(id)?.checked_add(bytes);
        known.word(known.truths.runtime_address, offset)
    };
    let main = known.truths.interpreters.iter().rfind(|address| **address != 0).copied();
    match id {
        FieldId::InterpretersHead => {
            behind(8) == main && behind(16).is_some_and(|next_id| (1..MOST_IDS).contains(&next_id))
        }
        FieldId::CurrentThread => behind(8) == main,
        FieldId::GilLocked => {
            let holder = layout.offset(FieldId::GilHolder);
            layout.offset(id) == holder.and_then(|holder| holder.checked_add(8))
        }
        _ => true,
    }
}

/// The interpreter runs, so there is nothing but a zero to find.
pub(super) fn finalizing(known: &Known<'_>, layout: &Layout) -> Verdict {
    match known.truths.runtime_address {
        0 => Verdict::Untold,
        runtime => Verdict::of(known.word(runtime, layout.offset(FieldId::Finalizing)), 0),
    }
}

pub(super) fn current_thread(known: &Known<'_>, layout: &Layout) -> Verdict {
    match known.truths.runtime_address {
        0 => Verdict::Untold,
        runtime => {
            let offset = layout.offset(FieldId::CurrentThread);
            Verdict::of(known.word(runtime, offset), known.truths.thread)
        }
    }
}

/// Whether the thread holds the GIL of its interpreter; the pointer is told by what it leads to.
pub(super) fn gil(known: &Known<'_>, layout: &Layout) -> Verdict {
    if !known.truths.holds_gil {
        return Verdict::Untold;
    }
    let offset = layout.offset(FieldId::InterpreterGil);
    let gil = known.word(known.truths.interpreter, offset).unwrap_or(0);
    let holder = known.word(gil, layout.offset(FieldId::GilHolder));
    let locked = known.int(gil, layout.offset(FieldId::GilLocked));
    Verdict::from_bool(holder == Some(known.truths.thread) && locked == Some(1))
}
