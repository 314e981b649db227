//! CPython 3.13; offsets from 3.13.0, builds with a GIL.

use super::{
    Attributes, CodeValueFields, Delegation, DictFields, ExceptionFields, FunctionFields,
    GeneratorFields, GeneratorFrame, HeapTypeFields, IntFields, KeyTable, StackFields, StackTop,
    TaskFields, ValueLayout, VariableNames, byte, int, word,
};

pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(7656),
    interpreter_gc: 7400,
    exceptions: ExceptionFields {
        pending_type: None,
        pending: word(112),
        handled: word(120),
        item_value: word(0),
        item_previous: word(8),
        args: word(24),
        context: word(48),
        cause: word(56),
        suppress_context: byte(64),
        os_errno: word(72),
        os_strerror: word(80),
        os_filename: word(88),
    },
    tuple_items: 24,
    dict: DictFields {
        keys: word(32),
        values: word(40),
        table: KeyTable::Logarithmic {
            log2_index_bytes: byte(9),
            kind: byte(10),
            entries: word(24),
            indices: 32,
        },
        values_start: 8,
    },
    attributes: Attributes::InlineBehind,
    heap_type: HeapTypeFields { qualname: word(872), cached_keys: word(880) },
    int: IntFields::Tagged { tag: word(16), digits: 24 },
    function: FunctionFields { qualname: word(40), closure: word(72) },
    generator: GeneratorFields {
        frame: GeneratorFrame::Inside { offset: 72, state: byte(67) },
        delegation: Delegation::State(-1),
    },
    stack: StackFields { locals: 72, top: StackTop::Index(int(64)), tag_bits: 0 },
    code: CodeValueFields {
        flags: int(48),
        argument_count: int(52),
        keyword_only_count: int(60),
        names: VariableNames::Together { names: word(96), kinds: word(104) },
    },
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
};
