//! CPython 3.13; offsets from 3.13.0, builds with a GIL.

use super::v3_12::LAYOUT as BEFORE;
use super::{
    Attributes, Delegation, DictFields, ExceptionFields, GeneratorFields, TaskFields, ValueLayout,
    int, word,
};

/// What moved since 3.12.
pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(7656),
    interpreter_gc: 7400,
    exceptions: ExceptionFields { pending: word(112), handled: word(120), ..BEFORE.exceptions },
    dict: DictFields { values_start: 8, ..BEFORE.dict },
    attributes: Attributes::InlineBehind,
    generator: GeneratorFields { delegation: Delegation::State(-1), ..BEFORE.generator },
    task: Some(TaskFields {
        event_loop: word(16),
        callback0: word(24),
        callbacks: word(40),
        coroutine: word(120),
        name: word(128),
        state: Some(int(96)),
        waiter: Some(word(112)),
        awaited_by: None,
    }),
    ..BEFORE
};
