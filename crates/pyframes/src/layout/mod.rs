//! Where the fields of CPython's structures lie, by version: one module per minor version.
//!
//! Offsets are in bytes from the start of the structure, on little-endian targets whose
//! pointers and `long` have 64 bits (Linux, macOS). None of them differs between release and
//! debug builds (`Py_DEBUG`), nor by how the compiler optimised; builds without a GIL have
//! tables of their own. CPython promises nothing for internal structures. They settle with the
//! release candidates; a field that a patch version moved is told by the target itself (3.13
//! and later, `debug_offsets`) or caught by the reader's checks (back pointers, type names,
//! bounds) and becomes an error, not garbage.
//!
//! The tables were taken from the DWARF of x86-64 builds (`ptype /o` in GDB), of the patch
//! version that each module names, those of 3.14 and 3.15 without a GIL from their headers.
//! `dwarf_tests` compares them again with every interpreter of the machine that carries debug
//! information, `header_tests` with headers.

#[cfg(test)]
mod claims;
mod debug_offsets;
#[cfg(test)]
mod dwarf_tests;
mod free_threaded;
#[cfg(test)]
mod header_tests;
mod shape;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;
mod v3_9;
pub(crate) mod values;

use self::free_threaded::free_threaded;
use crate::Target;
use crate::error::{Error, SoftError};
use crate::lines::LineTableFormat;
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
    /// Built without a GIL (PEP 703).
    pub is_free_threaded: bool,
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
    /// The dict of the module `sys`.
    pub sysdict: Field,
    /// `gc.collecting`, an `int`: not 0 while the collector runs.
    pub collecting: Field,
    /// Not 0 once the interpreter is being taken down: `finalizing`, an `int`, until 3.11;
    /// `_finalizing`, the thread state that does it, from 3.12. `None` = not known.
    pub finalizing: Option<Field>,
}

/// Where the GIL lies, and who holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gil {
    /// One for all interpreters (until 3.11): `_PyRuntimeState.ceval.gil` at `gil`, its holder
    /// in `_PyRuntimeState.gilstate.tstate_current`.
    Runtime { tstate_current: Field, gil: u64 },
    /// `PyInterpreterState.ceval.gil` → `struct _gil_runtime_state` (3.12 and later). Builds
    /// without a GIL have one all the same, for as long as `enabled` is not 0: an extension
    /// that is not ready for threads enables it.
    Interpreter { gil: Field, last_holder: Field, locked: Field, enabled: Option<Field> },
}

/// `PyThreadState`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadFields {
    pub next: Field,
    pub interp: Field,
    pub thread_id: Field,
    pub native_thread_id: Option<Field>,
    /// The exception being raised, or its type; `None` = not known where.
    pub exception: Option<Field>,
    /// `exception` is the exception itself (3.12 and later), not its type.
    pub is_exception_instance: bool,
}

/// How frames hang on a thread state, and what marks their native activations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chain {
    /// 3.9: frame objects from `tstate->frame`, and nothing on the C stack. `use_tracing`, 0 or
    /// 1, stands where 3.10 has `cframe`, and is the mark by which they are told apart.
    UnanchoredFrameObjects { frame: Field, use_tracing: Field },
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

/// `_PyInterpreterFrame` (3.9, 3.10: `PyFrameObject`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameFields {
    pub code: Field,
    /// `code` is a `_PyStackRef` (3.14 and later): its two lowest bits are tags, and no
    /// address when both are set (`Include/internal/pycore_stackref.h`).
    pub is_code_tagged: bool,
    pub previous: Field,
    pub instruction: Instruction,
    /// `tlbc_index`: which copy of the bytecode it runs, an `int` (3.14 and later, without a
    /// GIL).
    pub bytecode_index: Option<Field>,
    pub owner: Owner,
}

/// How a frame tells its current instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instruction {
    /// Offset of a byte in the bytecode, -1 = not started (3.9 `f_lasti`).
    ByteIndex(Field),
    /// Index of a code unit of two bytes, -1 = not started (3.10 `f_lasti`).
    UnitIndex(Field),
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
    /// `co_linetable` (3.9: `co_lnotab`).
    pub line_table: Field,
    pub line_table_format: LineTableFormat,
    pub first_line: Field,
    /// `_co_firsttraceable`: index of the first code unit that a frame must have reached to
    /// count as complete (3.11 and later).
    pub first_traceable: Option<Field>,
    /// Offset of the bytecode inside the code object (3.11 and later).
    pub bytecode: Option<u64>,
    /// `co_tlbc`: the copies of the bytecode that threads run (3.14 and later, without a GIL).
    pub thread_bytecodes: Option<Field>,
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
/// A soft error comes with it when the target's own offsets had to be ignored, or when they are
/// all that is known of its version.
///
/// # Errors
/// [`Error::UnsupportedVersion`] for a version older than 3.9, a pre-release of 3.9 to 3.12,
/// and any other without a table here whose own offsets do not look like one;
/// [`Error::Memory`] when the runtime cannot be read.
pub(crate) fn choose(
    source: &mut Source<'_>,
    runtime_address: u64,
    python_version: u32,
) -> Result<(Layout, Option<SoftError>), Error> {
    const RELEASE_CANDIDATE: u32 = 0xC;
    const FIRST_WITH_OFFSETS: u32 = 0x030D;
    let target = Target { runtime_address, python_version };
    let minor = python_version >> 16;
    let has_settled = (python_version >> 4) & 0xf >= RELEASE_CANDIDATE;
    match minor {
        0x0309 if has_settled => Ok((v3_9::LAYOUT, None)),
        0x030A if has_settled => Ok((v3_10::LAYOUT, None)),
        0x030B if has_settled => Ok((v3_11::LAYOUT, None)),
        0x030C if has_settled => Ok((v3_12::LAYOUT, None)),
        0x030D if has_settled => debug_offsets::refine(source, &target, &debug_offsets::V3_13),
        0x030E if has_settled => debug_offsets::refine(source, &target, &debug_offsets::V3_14),
        0x030F if has_settled => debug_offsets::refine(source, &target, &debug_offsets::V3_15),
        FIRST_WITH_OFFSETS..0x0400 => debug_offsets::assume(source, &target),
        _ => Err(Error::UnsupportedVersion { version: python_version }),
    }
}
