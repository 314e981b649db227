//! A layout as a flat list of offsets, each with a number and a name that stay the same over
//! versions: so that one can be checked, replaced, written down and read again.
//!
//! Only offsets are in the list. What hangs on what (`Chain`, `Gil`, …) and how wide a field is are
//! the version's, and stay as they are.

use super::{Chain, Gil, Instruction, Layout, Owner, choose};
use crate::Limits;
use crate::memory::{Memory, MemoryError};
use crate::source::Source;

/// Declares the fields in the order of their numbers.
macro_rules! fields {
    ($($id:ident = $name:literal,)*) => {
        /// One field of one of CPython's structures.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum FieldId { $($id,)* }

        /// All fields, by their numbers.
        pub(crate) const ALL: &[FieldId] = &[$(FieldId::$id,)*];

        /// Their names, by their numbers: structure and member.
        pub(crate) const NAMES: &[&str] = &[$($name,)*];
    };
}

fields! {
    InterpretersHead = "runtime.interpreters_head",
    Finalizing = "runtime.finalizing",
    CurrentThread = "runtime.tstate_current",
    NextInterpreter = "interpreter.next",
    InterpreterId = "interpreter.id",
    ThreadsHead = "interpreter.threads_head",
    InterpreterGil = "interpreter.gil",
    GilHolder = "gil.last_holder",
    GilLocked = "gil.locked",
    NextThread = "thread.next",
    ThreadInterpreter = "thread.interp",
    ThreadId = "thread.thread_id",
    NativeThreadId = "thread.native_thread_id",
    ThreadException = "thread.exception",
    ThreadFrame = "thread.frame",
    ThreadCFrame = "thread.cframe",
    ThreadRootCFrame = "thread.root_cframe",
    ThreadCurrentFrame = "thread.current_frame",
    CFrameCurrentFrame = "cframe.current_frame",
    CFramePrevious = "cframe.previous",
    FrameCode = "frame.code",
    FramePrevious = "frame.previous",
    FrameInstruction = "frame.instruction",
    FrameOwner = "frame.owner",
    FrameIsEntry = "frame.is_entry",
    CodeFile = "code.file",
    CodeName = "code.name",
    CodeQualname = "code.qualname",
    CodeLineTable = "code.line_table",
    CodeFirstLine = "code.first_line",
    CodeFirstTraceable = "code.first_traceable",
    CodeBytecode = "code.bytecode",
    ObjectType = "object.type",
    VarSize = "object.size",
    BytesData = "bytes.data",
    StringLength = "str.length",
    StringState = "str.state",
    StringAsciiData = "str.ascii_data",
    StringCompactData = "str.compact_data",
    TypeName = "type.name",
    TypeFlags = "type.flags",
}

/// The number of a field.
pub(crate) fn number(id: FieldId) -> usize {
    ALL.iter().position(|known| *known == id).unwrap_or(ALL.len())
}

/// Memory in which nothing stands: a layout that is asked for with it is the built-in one.
struct Nothing;

impl Memory for Nothing {
    fn read(&self, _: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        buffer.fill(0);
        Ok(())
    }
}

/// The built-in layout of a version, without what an interpreter tells of itself; `None` when there
/// is none.
pub(crate) fn built_in(python_version: u32) -> Option<Layout> {
    const ANYWHERE: u64 = 8;
    let mut source = Source::new(&Nothing, &Limits::default());
    choose(&mut source, ANYWHERE, python_version).ok().map(|(layout, _)| layout)
}

impl Layout {
    /// Where a field lies; `None` when this version has none.
    pub(crate) fn offset(&self, id: FieldId) -> Option<u64> {
        let mut copy = *self;
        copy.place(id).map(|offset| *offset)
    }

    /// The same layout with the field elsewhere. Nothing changes where the version has none.
    pub(crate) fn with(&self, id: FieldId, offset: u64) -> Self {
        let mut copy = *self;
        if let Some(place) = copy.place(id) {
            *place = offset;
        }
        copy
    }

    fn place(&mut self, id: FieldId) -> Option<&mut u64> {
        let field = match id {
            FieldId::InterpretersHead => &mut self.runtime.interpreters_head,
            FieldId::Finalizing => &mut self.runtime.finalizing,
            FieldId::NextInterpreter => &mut self.interpreter.next,
            FieldId::InterpreterId => &mut self.interpreter.id,
            FieldId::ThreadsHead => &mut self.interpreter.threads_head,
            FieldId::NextThread => &mut self.thread.next,
            FieldId::ThreadInterpreter => &mut self.thread.interp,
            FieldId::ThreadId => &mut self.thread.thread_id,
            FieldId::NativeThreadId => self.thread.native_thread_id.as_mut()?,
            FieldId::ThreadException => self.thread.exception.as_mut()?,
            FieldId::ObjectType => &mut self.object_type,
            FieldId::VarSize => &mut self.var_size,
            FieldId::BytesData => return Some(&mut self.bytes_data),
            FieldId::StringLength => &mut self.unicode.length,
            FieldId::StringState => &mut self.unicode.state,
            FieldId::StringAsciiData => return Some(&mut self.unicode.ascii_data),
            FieldId::StringCompactData => return Some(&mut self.unicode.compact_data),
            FieldId::TypeName => &mut self.type_name,
            FieldId::TypeFlags => &mut self.type_flags,
            FieldId::CurrentThread | FieldId::InterpreterGil => return self.gil_place(id),
            FieldId::GilHolder | FieldId::GilLocked => return self.gil_place(id),
            FieldId::CodeBytecode => return self.code.bytecode.as_mut(),
            FieldId::ThreadFrame
            | FieldId::ThreadCFrame
            | FieldId::ThreadRootCFrame
            | FieldId::ThreadCurrentFrame
            | FieldId::CFrameCurrentFrame
            | FieldId::CFramePrevious
            | FieldId::FrameIsEntry => return self.chain_place(id),
            _ => return self.frame_place(id),
        };
        Some(&mut field.offset)
    }

    fn gil_place(&mut self, id: FieldId) -> Option<&mut u64> {
        let field = match (id, &mut self.gil) {
            (FieldId::CurrentThread, Gil::Runtime { tstate_current, .. }) => tstate_current,
            (FieldId::InterpreterGil, Gil::Interpreter { gil, .. }) => gil,
            (FieldId::GilHolder, Gil::Interpreter { last_holder, .. }) => last_holder,
            (FieldId::GilLocked, Gil::Interpreter { locked, .. }) => locked,
            _ => return None,
        };
        Some(&mut field.offset)
    }

    fn chain_place(&mut self, id: FieldId) -> Option<&mut u64> {
        use Chain::{EntryFrames, FrameObjects, ShimFrames, ShimFramesBehindCFrame};
        let field = match (id, &mut self.chain) {
            (
                FieldId::ThreadRootCFrame,
                FrameObjects { root_cframe, .. } | EntryFrames { root_cframe, .. },
            ) => return Some(root_cframe),
            (FieldId::ThreadFrame, FrameObjects { frame, .. }) => frame,
            (
                FieldId::ThreadCFrame,
                FrameObjects { cframe, .. }
                | EntryFrames { cframe, .. }
                | ShimFramesBehindCFrame { cframe, .. },
            ) => cframe,
            (
                FieldId::CFramePrevious,
                FrameObjects { cframe_previous, .. } | EntryFrames { cframe_previous, .. },
            ) => cframe_previous,
            (
                FieldId::CFrameCurrentFrame,
                EntryFrames { current_frame, .. } | ShimFramesBehindCFrame { current_frame, .. },
            )
            | (FieldId::ThreadCurrentFrame, ShimFrames { current_frame, .. }) => current_frame,
            (FieldId::FrameIsEntry, EntryFrames { is_entry, .. }) => is_entry,
            _ => return None,
        };
        Some(&mut field.offset)
    }

    fn frame_place(&mut self, id: FieldId) -> Option<&mut u64> {
        let field = match id {
            FieldId::FrameCode => &mut self.frame.code,
            FieldId::FramePrevious => &mut self.frame.previous,
            FieldId::FrameInstruction => match &mut self.frame.instruction {
                Instruction::ByteIndex(field)
                | Instruction::UnitIndex(field)
                | Instruction::Address(field) => field,
            },
            FieldId::FrameOwner => match &mut self.frame.owner {
                Owner::GeneratorPointer(field) | Owner::Enum(field) => field,
            },
            FieldId::CodeFile => &mut self.code.file,
            FieldId::CodeName => &mut self.code.name,
            FieldId::CodeQualname => self.code.qualname.as_mut()?,
            FieldId::CodeLineTable => &mut self.code.line_table,
            FieldId::CodeFirstLine => &mut self.code.first_line,
            FieldId::CodeFirstTraceable => self.code.first_traceable.as_mut()?,
            _ => return None,
        };
        Some(&mut field.offset)
    }
}
