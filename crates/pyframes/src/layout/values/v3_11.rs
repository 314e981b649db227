//! CPython 3.11; offsets from 3.11.7. `RESUME` may be quickened (150) or not (151).

use super::{
    Attributes, CodeValueFields, Delegation, DictFields, ExceptionFields, FunctionFields,
    GeneratorFields, GeneratorFrame, HeapTypeFields, IntFields, KeyTable, StackFields, StackTop,
    TaskFields, ValueLayout, VariableNames, byte, int, word,
};

pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(888),
    interpreter_gc: 648,
    exceptions: ExceptionFields {
        pending_type: Some(word(96)),
        pending: word(104),
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
        values_start: 0,
    },
    attributes: Attributes::ValuesBefore,
    heap_type: HeapTypeFields { qualname: word(864), cached_keys: word(872) },
    int: IntFields::Signed { size: word(16), digits: 24 },
    function: FunctionFields { qualname: word(40), closure: word(72) },
    generator: GeneratorFields {
        frame: GeneratorFrame::Inside { offset: 80, state: byte(75) },
        delegation: Delegation::Resume([151, 150]),
    },
    stack: StackFields { locals: 72, top: StackTop::Index(int(64)), tag_bits: 0 },
    code: CodeValueFields {
        flags: int(48),
        argument_count: int(56),
        keyword_only_count: int(64),
        names: VariableNames::Together { names: word(96), kinds: word(104) },
    },
    task: Some(TaskFields {
        event_loop: word(16),
        callback0: word(24),
        callbacks: word(40),
        coroutine: word(136),
        name: word(144),
        state: Some(int(88)),
        waiter: Some(word(128)),
        awaited_by: None,
    }),
};
