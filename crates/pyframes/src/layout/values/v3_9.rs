//! CPython 3.9; offsets from 3.9.18. `f_lasti` counts bytes here.

use super::{
    Attributes, CodeValueFields, Delegation, DictFields, ExceptionFields, FunctionFields,
    GeneratorFields, GeneratorFrame, HeapTypeFields, IntFields, KeyTable, StackFields, StackTop,
    TaskFields, ValueLayout, VariableNames, byte, int, word,
};

pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(856),
    interpreter_gc: 616,
    exceptions: ExceptionFields {
        pending_type: Some(word(88)),
        pending: word(96),
        handled: word(144),
        item_value: word(8),
        item_previous: word(24),
        args: word(24),
        context: word(40),
        cause: word(48),
        suppress_context: byte(56),
        os_errno: word(64),
        os_strerror: word(72),
        os_filename: word(80),
    },
    tuple_items: 24,
    dict: DictFields {
        keys: word(32),
        values: word(40),
        table: KeyTable::Sized { size: word(8), entries: word(32), indices: 40 },
        values_start: 0,
    },
    attributes: Attributes::Dict,
    heap_type: HeapTypeFields { qualname: word(856), cached_keys: word(864) },
    int: IntFields::Signed { size: word(16), digits: 24 },
    function: FunctionFields { qualname: word(104), closure: word(48) },
    generator: GeneratorFields {
        frame: GeneratorFrame::Pointer(word(16)),
        delegation: Delegation::Opcode(72),
    },
    stack: StackFields { locals: 360, top: StackTop::Address(word(72)), tag_bits: 0 },
    code: CodeValueFields {
        flags: int(36),
        argument_count: int(16),
        keyword_only_count: int(24),
        names: VariableNames::Split {
            variables: word(72),
            cells: word(88),
            free: word(80),
            bytecode: word(48),
        },
    },
    task: Some(TaskFields {
        event_loop: word(16),
        callback0: word(24),
        callbacks: word(40),
        coroutine: word(152),
        name: word(160),
        state: Some(int(80)),
        waiter: Some(word(144)),
        awaited_by: None,
    }),
};
