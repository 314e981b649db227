//! CPython 3.12; offsets from 3.12.1. `RESUME` may be instrumented (240) or not (151).

use super::v3_11::LAYOUT as BEFORE;
use super::{
    Attributes, CodeValueFields, Delegation, ExceptionFields, GeneratorFields, GeneratorFrame,
    HeapTypeFields, IntFields, ValueLayout, byte, int, word,
};

/// What moved since 3.11.
pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(944),
    interpreter_gc: 112,
    exceptions: ExceptionFields {
        pending_type: None,
        pending: word(96),
        handled: word(104),
        ..BEFORE.exceptions
    },
    attributes: Attributes::TaggedBefore,
    heap_type: HeapTypeFields { qualname: word(872), cached_keys: word(880) },
    int: IntFields::Tagged { tag: word(16), digits: 24 },
    generator: GeneratorFields {
        frame: GeneratorFrame::Inside { offset: 72, state: byte(67) },
        delegation: Delegation::Resume([151, 240]),
    },
    code: CodeValueFields { argument_count: int(52), keyword_only_count: int(60), ..BEFORE.code },
    ..BEFORE
};
