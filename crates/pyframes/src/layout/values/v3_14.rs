//! CPython 3.14; offsets from 3.14.10, builds with a GIL.
//!
//! Those of the interpreter state, dicts, generators and frames are replaced by what the target
//! tells (`debug_offsets`): `imports.modules` moved between patch versions.

use super::{
    Attributes, CodeValueFields, Delegation, DictFields, ExceptionFields, FunctionFields,
    GeneratorFields, GeneratorFrame, HeapTypeFields, IntFields, KeyTable, StackFields, StackTop,
    ValueLayout, VariableNames, byte, int, word,
};

pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(7688),
    interpreter_gc: 7408,
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
    tuple_items: 32,
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
    stack: StackFields { locals: 80, top: StackTop::Address(word(64)), tag_bits: 3 },
    code: CodeValueFields {
        flags: int(48),
        argument_count: int(52),
        keyword_only_count: int(60),
        names: VariableNames::Together { names: word(96), kinds: word(104) },
    },
    task: None,
};
