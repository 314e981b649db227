//! What a `_Py_DebugOffsets` of a given shape says, checked field by field.

use super::{Chain, Field, Gil, Instruction, Layout, Owner, byte, int, word};
use crate::source::{Fault, Record};

const MAX_STRUCT_SIZE: u64 = 1 << 20;
/// `sizeof(PyObject)` with a GIL, and without one.
const SHORT_HEADER: u64 = 16;
const LONG_HEADER: u64 = 32;
const TYPE_OBJECT_BEHIND_PYOBJECT: u64 = 16;
const UNICODE_BEHIND_BYTES: u64 = 24;

/// Where the members stand that moved between versions; the names are those of the table. What
/// follows a member at the same distance in all versions has none of its own.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub gc: u64,
    pub thread_state: u64,
    pub thread_id: u64,
    pub current_exception: Option<u64>,
    pub interpreter_frame: u64,
    pub tlbc_index: Option<u64>,
    pub code_object: u64,
    pub co_tlbc: Option<u64>,
    pub pyobject: u64,
    pub bytes_object: u64,
    pub gc_state: u64,
    pub end: u64,
}

/// The table of a target.
pub(super) struct Told {
    pub record: Record,
    pub shape: Shape,
}

/// The members of one structure: where its size is told, and what follows it.
struct Section<'t> {
    told: &'t Told,
    size: u64,
}

impl Section<'_> {
    /// The field told at `distance` behind the section's size.
    fn at(&self, distance: u64, make: fn(u64) -> Field) -> Result<Field, Fault> {
        self.told.field(self.size, self.size.saturating_add(distance), make)
    }
}

impl Told {
    /// The member at byte `offset` of the table.
    pub fn value(&self, offset: u64) -> Result<u64, Fault> {
        self.record.get(word(offset))
    }

    fn section(&self, size: u64) -> Section<'_> {
        Section { told: self, size }
    }

    /// A field told at `member`, of the structure whose size is told at `size`.
    fn field(&self, size: u64, member: u64, make: fn(u64) -> Field) -> Result<Field, Fault> {
        let size = self.value(size)?;
        let offset = self.value(member)?;
        let field = make(offset);
        let is_aligned = offset.is_multiple_of(field.width);
        let is_inside = offset.checked_add(field.width).is_some_and(|end| end <= size);
        if size <= MAX_STRUCT_SIZE && is_inside && is_aligned {
            return Ok(field);
        }
        Err(self.implausible(member, "a field inside its structure of at most 1 MiB"))
    }

    fn implausible(&self, member: u64, expected: &'static str) -> Fault {
        Fault::Implausible {
            what: "an offset of _Py_DebugOffsets",
            address: self.record.base().saturating_add(member),
            found: self.value(member).unwrap_or(0),
            expected,
        }
    }

    /// Whether it is a build without a GIL, by its flag and by the size of its objects' headers:
    /// one alone may be damaged.
    pub fn is_free_threaded(&self) -> Result<bool, Fault> {
        Ok(self.value(16)? == 1 && self.value(self.shape.pyobject)? == LONG_HEADER)
    }

    /// `layout`, with all that the table tells.
    ///
    /// # Errors
    /// [`Fault`] when any of it cannot be right, or its parts contradict each other.
    pub fn layout(&self, layout: Layout) -> Result<Layout, Fault> {
        let mut layout = layout;
        self.check_headers()?;
        layout.runtime.finalizing = self.section(24).at(8, word)?;
        layout.runtime.interpreters_head = self.section(24).at(16, word)?;
        self.interpreter(&mut layout)?;
        self.thread(&mut layout)?;
        self.frame(&mut layout)?;
        self.code(&mut layout)?;
        self.objects(&mut layout)?;
        Ok(layout)
    }

    /// Every object begins with the same header, so the fields behind it lie where its size
    /// says. A table of another shape cannot fulfil all of that by chance.
    fn check_headers(&self) -> Result<(), Fault> {
        let Shape { pyobject, bytes_object, code_object, .. } = self.shape;
        let header = self.value(pyobject)?;
        let expected_header = if self.value(16)? == 0 { SHORT_HEADER } else { LONG_HEADER };
        let type_object = pyobject.saturating_add(TYPE_OBJECT_BEHIND_PYOBJECT);
        let unicode = bytes_object.saturating_add(UNICODE_BEHIND_BYTES);
        let behind_header = |distance: u64| header.saturating_add(distance);
        let first_name = self.value(code_object.saturating_add(8))?;
        let expected = [
            (16, u64::from(self.value(16)? != 0)),
            (pyobject, expected_header),
            (pyobject.saturating_add(8), header.saturating_sub(8)),
            (type_object.saturating_add(8), behind_header(8)),
            (bytes_object.saturating_add(8), behind_header(0)),
            (bytes_object.saturating_add(16), behind_header(16)),
            (unicode.saturating_add(8), behind_header(16)),
            (unicode.saturating_add(16), behind_header(0)),
            (unicode.saturating_add(24), behind_header(24)),
            (code_object.saturating_add(16), first_name.saturating_add(8)),
            (code_object.saturating_add(24), first_name.saturating_add(16)),
            (code_object.saturating_add(32), first_name.saturating_add(24)),
        ];
        for (member, wanted) in expected {
            if self.value(member)? != wanted {
                return Err(self.implausible(member, "what the size of an object's header says"));
            }
        }
        Ok(())
    }

    fn interpreter(&self, layout: &mut Layout) -> Result<(), Fault> {
        let (interpreter, gc_state) = (self.section(48), self.section(self.shape.gc_state));
        let behind_gc =
            |distance: u64, make| self.field(48, self.shape.gc.saturating_add(distance), make);
        layout.interpreter.id = interpreter.at(8, word)?;
        layout.interpreter.next = interpreter.at(16, word)?;
        layout.interpreter.threads_head = interpreter.at(24, word)?;
        layout.interpreter.sysdict = behind_gc(16, word)?;
        let gc = behind_gc(0, word)?.offset;
        let collecting = gc.saturating_add(gc_state.at(8, int)?.offset);
        layout.interpreter.collecting = int(collecting);
        // `_finalizing` and `_finalizing_id` stand before `gc`: 3.13 to 3.15.
        let finalizing = layout.interpreter.finalizing.map(|_| word(gc.saturating_sub(16)));
        layout.interpreter.finalizing = finalizing;
        // The GIL's offsets are told from the interpreter; its structure may be another
        // interpreter's, so they are needed from the structure.
        let own_gil = behind_gc(40, word)?.offset;
        let inside = |field: Field| Field { offset: field.offset.saturating_sub(own_gil), ..field };
        layout.gil = Gil::Interpreter {
            gil: behind_gc(32, word)?,
            last_holder: inside(behind_gc(64, word)?),
            locked: inside(behind_gc(56, int)?),
            enabled: self.enabled(layout.is_free_threaded)?,
        };
        Ok(())
    }

    /// Told from the GIL itself, unlike its neighbours.
    fn enabled(&self, is_free_threaded: bool) -> Result<Option<Field>, Fault> {
        const LARGEST: u64 = 1024;
        let member = self.shape.gc.saturating_add(48);
        let offset = self.value(member)?;
        if offset > LARGEST || !offset.is_multiple_of(4) {
            return Err(self.implausible(member, "a field inside the GIL"));
        }
        Ok(is_free_threaded.then_some(int(offset)))
    }

    fn thread(&self, layout: &mut Layout) -> Result<(), Fault> {
        let size = self.shape.thread_state;
        let thread = self.section(size);
        layout.thread.next = thread.at(16, word)?;
        layout.thread.interp = thread.at(24, word)?;
        layout.chain = Chain::ShimFrames { current_frame: thread.at(32, word)? };
        layout.thread.thread_id = self.field(size, self.shape.thread_id, word)?;
        let native = self.shape.thread_id.saturating_add(8);
        layout.thread.native_thread_id = Some(self.field(size, native, word)?);
        if let Some(member) = self.shape.current_exception {
            layout.thread.exception = Some(self.field(size, member, word)?);
        }
        Ok(())
    }

    fn frame(&self, layout: &mut Layout) -> Result<(), Fault> {
        let size = self.shape.interpreter_frame;
        let frame = self.section(size);
        layout.frame.previous = frame.at(8, word)?;
        layout.frame.code = frame.at(16, word)?;
        layout.frame.instruction = Instruction::Address(frame.at(24, word)?);
        layout.frame.owner = Owner::Enum(frame.at(40, byte)?);
        layout.frame.bytecode_index = match self.shape.tlbc_index {
            Some(member) if layout.is_free_threaded => Some(self.field(size, member, int)?),
            _ => None,
        };
        Ok(())
    }

    fn code(&self, layout: &mut Layout) -> Result<(), Fault> {
        let size = self.shape.code_object;
        let code = self.section(size);
        layout.code.file = code.at(8, word)?;
        layout.code.name = code.at(16, word)?;
        layout.code.qualname = Some(code.at(24, word)?);
        layout.code.line_table = code.at(32, word)?;
        layout.code.first_line = code.at(40, int)?;
        layout.code.bytecode = Some(code.at(72, byte)?.offset);
        layout.code.thread_bytecodes = match self.shape.co_tlbc {
            Some(member) if layout.is_free_threaded => Some(self.field(size, member, word)?),
            _ => None,
        };
        Ok(())
    }

    fn objects(&self, layout: &mut Layout) -> Result<(), Fault> {
        let pyobject = self.section(self.shape.pyobject);
        let type_object = self.section(pyobject.size.saturating_add(TYPE_OBJECT_BEHIND_PYOBJECT));
        let bytes = self.section(self.shape.bytes_object);
        let unicode = self.section(bytes.size.saturating_add(UNICODE_BEHIND_BYTES));
        layout.object_type = pyobject.at(8, word)?;
        layout.type_name = type_object.at(8, word)?;
        layout.type_flags = type_object.at(24, word)?;
        layout.var_size = bytes.at(8, word)?;
        layout.bytes_data = bytes.at(16, byte)?.offset;
        layout.unicode.state = unicode.at(8, int)?;
        layout.unicode.length = unicode.at(16, word)?;
        // `size` is that of the largest form, so it bounds the smaller ones.
        let ascii_size = unicode.at(24, byte)?.offset;
        layout.unicode.ascii_data = ascii_size;
        // PyCompactUnicodeObject adds utf8_length and utf8.
        layout.unicode.compact_data = ascii_size.saturating_add(16);
        Ok(())
    }
}
