//! What `_Py_DebugOffsets` tells of objects (`Include/internal/pycore_debug_offsets.h`, 3.14.10).
//!
//! Little-endian; every member is a `u64`. Members that the reader uses:
//!
//! | offset | member | meaning |
//! |---|---|---|
//! | 16 | free_threaded | 1 in a build without a GIL (3.13 too) |
//! | 48 | interpreter_state | size, …, gc (88), imports_modules (96), … |
//! | 248 | interpreter_frame | size, …, localsplus (280), owner, stackpointer (296), … |
//! | 312 | code_object | size, …, argcount (360), localsplusnames (368), localspluskinds (376), … |
//! | 448 | tuple_object | size, ob_item (456), … |
//! | 528 | dict_object | size, ma_keys (536), ma_values (544) |
//! | 568 | long_object | size, lv_tag (576), ob_digit (584) |
//! | 664 | gen_object | size, gi_name, gi_iframe (680), gi_frame_state (688) |
//!
//! What it does not tell comes from the table: the fields of exceptions, functions and types.

use super::{
    CodeValueFields, Field, GeneratorFrame, IntFields, StackTop, ValueLayout, VariableNames, byte,
    int, word,
};
use crate::source::{Fault, Record, Source};

const FREE_THREADED: Field = word(16);
const MAX_STRUCT_SIZE: u64 = 1 << 20;

/// Whether the build has no GIL, and so other object headers.
pub(super) fn is_free_threaded(source: &mut Source<'_>, runtime: u64) -> Result<bool, Fault> {
    Ok(source.record(runtime, &[FREE_THREADED])?.get(FREE_THREADED)? != 0)
}

/// Replaces the offsets of `table` by those that the target tells; `None` when one of them
/// cannot be right.
pub(super) fn refine(
    source: &mut Source<'_>,
    runtime: u64,
    table: ValueLayout,
) -> Result<Option<ValueLayout>, Fault> {
    let record = source.record(runtime, &[word(0), word(688)])?;
    Ok(Told { record }.layout(table))
}

struct Told {
    record: Record,
}

impl Told {
    fn value(&self, offset: u64) -> Option<u64> {
        self.record.get(word(offset)).ok()
    }

    /// A field told at `member`, of the structure whose size is told at `size`.
    fn field(&self, size: u64, member: u64, make: fn(u64) -> Field) -> Option<Field> {
        let (size, field) = (self.value(size)?, make(self.value(member)?));
        let is_inside = field.offset.checked_add(field.width).is_some_and(|end| end <= size);
        (is_inside && size <= MAX_STRUCT_SIZE).then_some(field)
    }

    fn layout(&self, table: ValueLayout) -> Option<ValueLayout> {
        let mut layout = table;
        layout.interpreter_gc = self.field(48, 88, word)?.offset;
        layout.interpreter_modules = self.field(48, 96, word)?;
        layout.stack.locals = self.field(248, 280, word)?.offset;
        layout.stack.top = StackTop::Address(self.field(248, 296, word)?);
        layout.code = self.code(table.code)?;
        layout.tuple_items = self.field(448, 456, word)?.offset;
        layout.dict.keys = self.field(528, 536, word)?;
        layout.dict.values = self.field(528, 544, word)?;
        let digits = self.field(568, 584, int)?.offset;
        layout.int = IntFields::Tagged { tag: self.field(568, 576, word)?, digits };
        let offset = self.field(664, 680, word)?.offset;
        let state = self.field(664, 688, byte)?;
        layout.generator.frame = GeneratorFrame::Inside { offset, state };
        Some(layout)
    }

    /// Flags and the number of keyword-only arguments stand around the number of arguments.
    fn code(&self, table: CodeValueFields) -> Option<CodeValueFields> {
        let argument_count = self.field(312, 360, int)?;
        let is_known = argument_count == table.argument_count;
        let names = self.field(312, 368, word)?;
        let kinds = self.field(312, 376, word)?;
        let names = VariableNames::Together { names, kinds };
        is_known.then_some(CodeValueFields { argument_count, names, ..table })
    }
}
