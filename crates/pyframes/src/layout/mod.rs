//! Where the fields of CPython's structures lie, by version: one module per minor version.
//!
//! Offsets are in bytes from the start of the structure, on little-endian targets whose
//! pointers and `long` have 64 bits (Linux, macOS), and hold for release builds with a GIL.
//! CPython promises nothing for internal structures. They settle with the release candidates,
//! so earlier pre-releases are refused; a field that a patch version moved is caught by the
//! reader's checks (back pointers, type names, bounds) and becomes an error, not garbage.
//!
//! The tables were taken from the DWARF of x86-64 builds (`ptype /o` in GDB), of the patch
//! version that each module names. `dwarf_tests` compares them again with every interpreter
//! of the machine that carries debug information.

mod debug_offsets;
#[cfg(test)]
mod dwarf_tests;
pub(crate) mod fields;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;

use crate::error::{Error, SoftError};
use crate::source::Source;

/// One field: where it lies and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub offset: u64,
    pub width: u64,
}

/// An 8-byte field.
const fn word(offset: u64) -> Field {
    Field { offset, width: 8 }
}

/// A 4-byte field.
const fn int(offset: u64) -> Field {
    Field { offset, width: 4 }
}

/// A 1-byte field.
const fn byte(offset: u64) -> Field {
    Field { offset, width: 1 }
}

/// All that the reader knows of one version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub runtime: RuntimeFields,
    pub interpreter: InterpreterFields,
    pub gil: Gil,
    pub thread: ThreadFields,
    pub chain: Chain,
    pub frame: FrameFields,
    pub code: CodeFields,
    pub object_type: Field,
    pub var_size: Field,
    pub unicode: UnicodeFields,
    pub bytes_data: u64,
    pub type_name: Field,
    pub type_flags: Field,
}

/// `_PyRuntimeState`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuntimeFields {
    pub interpreters_head: Field,
    pub finalizing: Field,
}

/// `PyInterpreterState`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InterpreterFields {
    pub next: Field,
    pub id: Field,
    pub threads_head: Field,
}

/// Where the holder of the GIL is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gil {
    /// `_PyRuntimeState.gilstate.tstate_current` (until 3.11).
    Runtime { tstate_current: Field },
    /// `PyInterpreterState.ceval.gil` → `struct _gil_runtime_state` (3.12 and later).
    Interpreter { gil: Field, last_holder: Field, locked: Field },
}

/// `PyThreadState`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadFields {
    pub next: Field,
    pub interp: Field,
    pub thread_id: Field,
    pub native_thread_id: Option<Field>,
    pub exception: Field,
    /// `exception` is the exception itself (3.12 and later), not its type.
    pub is_exception_instance: bool,
}

/// How frames hang on a thread state, and what marks their native activations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chain {
    /// 3.10: frame objects from `tstate->frame`; one `CFrame` on the C stack per frame.
    FrameObjects { frame: Field, cframe: Field, root_cframe: u64, cframe_previous: Field },
    /// 3.11: one `_PyCFrame` on the C stack per native activation, each with the newest of
    /// its frames; `is_entry` marks the oldest of them.
    EntryFrames {
        cframe: Field,
        root_cframe: u64,
        current_frame: Field,
        cframe_previous: Field,
        is_entry: Field,
    },
    /// 3.12: as 3.13, but the newest frame hangs on the `_PyCFrame`.
    ShimFramesBehindCFrame { cframe: Field, current_frame: Field },
    /// 3.13: frames from `tstate->current_frame`; a shim frame on the C stack ends each
    /// native activation.
    ShimFrames { current_frame: Field },
}

/// `_PyInterpreterFrame` (3.10: `PyFrameObject`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameFields {
    pub code: Field,
    pub previous: Field,
    pub instruction: Instruction,
    pub owner: Owner,
}

/// How a frame tells its current instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instruction {
    /// Index of a code unit of two bytes, -1 = not started (3.10 `f_lasti`).
    Index(Field),
    /// Address of a code unit (`prev_instr`, `instr_ptr`).
    Address(Field),
}

/// How a frame tells who owns it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// `f_gen` is not null for a generator's frame; every other one is a frame object.
    GeneratorPointer(Field),
    /// `enum _frameowner`.
    Enum(Field),
}

/// `PyCodeObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeFields {
    pub file: Field,
    pub name: Field,
    pub qualname: Option<Field>,
    pub line_table: Field,
    pub first_line: Field,
    /// `_co_firsttraceable`: index of the first code unit that a frame must have reached to
    /// count as complete (3.11 and later).
    pub first_traceable: Option<Field>,
    /// Offset of the bytecode inside the code object (3.11 and later).
    pub bytecode: Option<u64>,
}

/// `PyASCIIObject` and `PyCompactUnicodeObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnicodeFields {
    pub length: Field,
    /// Bits 2-4 kind (bytes per character), bit 5 compact, bit 6 ASCII.
    pub state: Field,
    /// Where the characters of an ASCII string begin.
    pub ascii_data: u64,
    /// Where the characters of any other compact string begin.
    pub compact_data: u64,
}

/// The layout of `python_version`, refined by what the target tells of itself.
///
/// A soft error comes with it when the target's own offsets had to be ignored.
pub(crate) fn choose(
    source: &mut Source<'_>,
    runtime_address: u64,
    python_version: u32,
) -> Result<(Layout, Option<SoftError>), Error> {
    const RELEASE_CANDIDATE: u32 = 0xC;
    let unsupported = Error::UnsupportedVersion { version: python_version };
    if (python_version >> 4) & 0xf < RELEASE_CANDIDATE {
        return Err(unsupported);
    }
    match python_version >> 16 {
        0x030A => Ok((v3_10::LAYOUT, None)),
        0x030B => Ok((v3_11::LAYOUT, None)),
        0x030C => Ok((v3_12::LAYOUT, None)),
        0x030D => debug_offsets::refine(source, runtime_address, python_version, v3_13::LAYOUT),
        _ => Err(unsupported),
    }
}
