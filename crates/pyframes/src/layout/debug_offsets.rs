//! `_Py_DebugOffsets`, the offsets that CPython 3.13 tells of itself at the start of
//! `_PyRuntime` (`Include/internal/pycore_runtime.h`, 3.13.0).
//!
//! Little-endian; every member is a `u64`. Members that the reader uses:
//!
//! | offset | member | meaning |
//! |---|---|---|
//! | 0 | cookie | `xdebugpy` |
//! | 8 | version | `PY_VERSION_HEX` |
//! | 16 | free_threaded | 1 in a build without a GIL |
//! | 24 | runtime_state | size, finalizing, interpreters_head |
//! | 48 | interpreter_state | size, id, next, threads_head, …, ceval_gil (112), gil_runtime_state (120), …, gil_runtime_state_locked (136), gil_runtime_state_holder (144) |
//! | 152 | thread_state | size, prev, next, interp, current_frame, thread_id, native_thread_id, … |
//! | 224 | interpreter_frame | size, previous, executable, instr_ptr, localsplus, owner |
//! | 272 | code_object | size, filename, name, qualname, linetable, firstlineno, …, co_code_adaptive (344) |
//! | 352 | pyobject | size, ob_type |
//! | 368 | type_object | size, tp_name, tp_repr, tp_flags |
//! | 512 | bytes_object | size, ob_size, ob_sval |
//! | 536 | unicode_object | size, state, length, asciiobject_size |

use super::{Chain, Field, Gil, Instruction, Layout, Owner, byte, int, word};
use crate::error::{Error, SoftError};
use crate::source::{Fault, Record, Source};

const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
const MAX_STRUCT_SIZE: u64 = 1 << 20;

/// Replaces the offsets of `table` by those that the target tells.
///
/// # Errors
/// [`Error`] when the memory cannot be read, or the build has no GIL. Offsets that cannot be
/// right are ignored as a whole: the table comes back, with a soft error.
pub(super) fn refine(
    source: &mut Source<'_>,
    runtime_address: u64,
    python_version: u32,
    table: Layout,
) -> Result<(Layout, Option<SoftError>), Error> {
    let record = source.record(runtime_address, &[word(0), word(560)])?;
    let told = Told { record };
    let told_version = told.value(8)?;
    if told.value(0)? != COOKIE || told_version >> 16 != u64::from(python_version >> 16) {
        let message = "the cookie or the version of _Py_DebugOffsets is wrong".to_owned();
        return Ok((table, Some(ignored(runtime_address, &message))));
    }
    if told.value(16)? != 0 {
        return Err(Error::UnsupportedBuild { what: "it is free-threaded (PEP 703)" });
    }
    match told.layout(table) {
        Ok(layout) => Ok((layout, None)),
        Err(fault) => Ok((table, Some(ignored(runtime_address, &fault.to_string())))),
    }
}

fn ignored(runtime_address: u64, message: &str) -> SoftError {
    SoftError {
        code: "python_layout_assumed",
        where_: format!("_PyRuntime at {runtime_address:#x}"),
        message: format!("{message}; the built-in offsets of 3.13 were used"),
    }
}

struct Told {
    record: Record,
}

impl Told {
    fn value(&self, offset: u64) -> Result<u64, Fault> {
        self.record.get(word(offset))
    }

    /// A field told at `member`, of the structure whose size is told at `size`.
    fn field(&self, size: u64, member: u64, make: fn(u64) -> Field) -> Result<Field, Fault> {
        let size = self.value(size)?;
        let offset = self.value(member)?;
        let field = make(offset);
        let is_inside = offset.checked_add(field.width).is_some_and(|end| end <= size);
        if size <= MAX_STRUCT_SIZE && is_inside {
            return Ok(field);
        }
        Err(Fault::Implausible {
            what: "an offset of _Py_DebugOffsets",
            address: self.record.base().saturating_add(member),
            found: offset,
            expected: "a field inside its structure of at most 1 MiB",
        })
    }

    fn layout(&self, table: Layout) -> Result<Layout, Fault> {
        let mut layout = table;
        layout.runtime.finalizing = self.field(24, 32, word)?;
        layout.runtime.interpreters_head = self.field(24, 40, word)?;
        layout.interpreter.id = self.field(48, 56, word)?;
        layout.interpreter.next = self.field(48, 64, word)?;
        layout.interpreter.threads_head = self.field(48, 72, word)?;
        layout.gil = self.gil()?;
        layout.thread.next = self.field(152, 168, word)?;
        layout.thread.interp = self.field(152, 176, word)?;
        layout.chain = Chain::ShimFrames { current_frame: self.field(152, 184, word)? };
        layout.thread.thread_id = self.field(152, 192, word)?;
        layout.thread.native_thread_id = Some(self.field(152, 200, word)?);
        layout.frame.previous = self.field(224, 232, word)?;
        layout.frame.code = self.field(224, 240, word)?;
        layout.frame.instruction = Instruction::Address(self.field(224, 248, word)?);
        layout.frame.owner = Owner::Enum(self.field(224, 264, byte)?);
        self.objects(&mut layout)?;
        Ok(layout)
    }

    fn objects(&self, layout: &mut Layout) -> Result<(), Fault> {
        layout.code.file = self.field(272, 280, word)?;
        layout.code.name = self.field(272, 288, word)?;
        layout.code.qualname = Some(self.field(272, 296, word)?);
        layout.code.line_table = self.field(272, 304, word)?;
        layout.code.first_line = self.field(272, 312, int)?;
        layout.code.bytecode = Some(self.field(272, 344, byte)?.offset);
        layout.object_type = self.field(352, 360, word)?;
        layout.type_name = self.field(368, 376, word)?;
        layout.type_flags = self.field(368, 392, word)?;
        layout.var_size = self.field(512, 520, word)?;
        layout.bytes_data = self.field(512, 528, byte)?.offset;
        layout.unicode.state = self.field(536, 544, int)?;
        layout.unicode.length = self.field(536, 552, word)?;
        // `size` is that of the largest form, so it bounds the smaller ones.
        let ascii_size = self.field(536, 560, byte)?.offset;
        layout.unicode.ascii_data = ascii_size;
        // PyCompactUnicodeObject adds utf8_length and utf8.
        layout.unicode.compact_data = ascii_size.saturating_add(16);
        Ok(())
    }

    /// The GIL's offsets are told from the interpreter; its structure may be another
    /// interpreter's, so they are needed from the structure.
    fn gil(&self) -> Result<Gil, Fault> {
        let own_gil = self.field(48, 120, word)?.offset;
        let inside = |field: Field| Field { offset: field.offset.saturating_sub(own_gil), ..field };
        Ok(Gil::Interpreter {
            gil: self.field(48, 112, word)?,
            last_holder: inside(self.field(48, 144, word)?),
            locked: inside(self.field(48, 136, int)?),
        })
    }
}
