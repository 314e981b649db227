//! CPython 3.14; offsets from 3.14.10, builds with a GIL.
//!
//! Those of the interpreter state, dicts, generators and frames are replaced by what the target
//! tells (`debug_offsets`): `imports.modules` moved between patch versions.

use super::v3_13::LAYOUT as BEFORE;
use super::{StackFields, StackTop, ValueLayout, word};

/// What moved since 3.13.
pub(super) const LAYOUT: ValueLayout = ValueLayout {
    interpreter_modules: word(7688),
    interpreter_gc: 7408,
    tuple_items: 32,
    stack: StackFields { locals: 80, top: StackTop::Address(word(64)), tag_bits: 3 },
    task: None,
    ..BEFORE
};
