//! CPython 3.10; offsets from 3.10.13. `f_lasti` counts code units of two bytes.

use super::v3_9::LAYOUT as BEFORE;
use super::{
    FunctionFields, HeapTypeFields, StackFields, StackTop, TaskFields, ValueLayout, int, word,
};

/// What moved since 3.9.
pub(super) const LAYOUT: ValueLayout = ValueLayout {
    heap_type: HeapTypeFields { qualname: word(864), cached_keys: word(872) },
    function: FunctionFields { qualname: word(40), closure: word(72) },
    stack: StackFields {
        locals: 352,
        top: StackTop::Depth { values: word(64), depth: int(80) },
        tag_bits: 0,
    },
    task: Some(TaskFields {
        event_loop: word(16),
        callback0: word(24),
        callbacks: word(40),
        coroutine: word(160),
        name: word(168),
        state: Some(int(88)),
        waiter: Some(word(152)),
        awaited_by: None,
    }),
    ..BEFORE
};
