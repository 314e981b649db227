//! Where the fields of objects lie that details are read from: one module per minor version.
//!
//! As in `super`: bytes from the start of the structure, little-endian, 64 bits, release builds
//! with a GIL. Free-threaded builds have other object headers and are not known here. From 3.14
//! on the target tells what it can (`debug_offsets`, `asyncio_offsets`).
//!
//! Fields that lie at the same place in every version from 3.9 to 3.14 are constants of this
//! module (`Include/cpython/*.h`, `Objects/*.c`, `Modules/_functoolsmodule.c`):
//!
//! | structure | offset | field |
//! |---|---|---|
//! | `PyVarObject` | 16 | ob_size |
//! | `PyListObject` | 24 | ob_item: a pointer to the items |
//! | `PySetObject` | 24, 32, 40 | used, mask, table of (key, hash) |
//! | `PyFloatObject`, `PyComplexObject` | 16, 24 | value; real and imaginary part |
//! | `PySliceObject`, `rangeobject` | 16, 24, 32 | start, stop, step |
//! | `PyByteArrayObject` | 40 | ob_start |
//! | `PyModuleObject` | 16, 48 | md_dict, md_name |
//! | `PyMethodObject` | 16, 24 | im_func, im_self |
//! | `PyCFunctionObject` | 16, 24 | m_ml (its first member is the name), m_self |
//! | `PyCellObject` | 16 | ob_ref |
//! | `PyWeakReference` | 16 | wr_object |
//! | `partialobject` | 24 | args |
//! | `PyAsyncGenASend`, `PyAsyncGenAThrow`, `PyCoroWrapper`, `anextawaitableobject` | 16 | what is awaited |
//! | `futureiterobject` | 16 | future |
//! | `PyFrameObject` (3.11 and later) | 24 | f_frame |
//! | `PyTypeObject` | 32, 256, 264, 288 | tp_basicsize, tp_base, tp_dict, tp_dictoffset |
//! | `PyGC_Head` | 0; 16 bytes before its object | next |
//! | `struct _gc_runtime_state` | 24, 48, 72 | heads of the three generations |

pub(crate) mod asyncio_offsets;
mod debug_offsets;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_9;

#[cfg(test)]
mod dwarf_tests;

use super::{Field, byte, int, word};
use crate::source::{Fault, Source};

/// What a pointer points to.
pub(crate) const WORD: Field = word(0);
pub(crate) const SIZE: Field = word(16);
pub(crate) const LIST_ITEMS: Field = word(24);
pub(crate) const SET_USED: Field = word(24);
pub(crate) const SET_MASK: Field = word(32);
pub(crate) const SET_TABLE: Field = word(40);
pub(crate) const FLOAT_VALUE: Field = word(16);
pub(crate) const IMAGINARY_PART: Field = word(24);
pub(crate) const START_STOP_STEP: [Field; 3] = [word(16), word(24), word(32)];
pub(crate) const BYTEARRAY_START: Field = word(40);
pub(crate) const MODULE_DICT: Field = word(16);
pub(crate) const MODULE_DEFINITION: Field = word(24);
pub(crate) const MODULE_NAME: Field = word(48);
pub(crate) const METHOD_FUNCTION: Field = word(16);
pub(crate) const METHOD_SELF: Field = word(24);
pub(crate) const BUILTIN_DEFINITION: Field = word(16);
pub(crate) const BUILTIN_SELF: Field = word(24);
pub(crate) const CELL_CONTENTS: Field = word(16);
pub(crate) const WEAKREF_OBJECT: Field = word(16);
pub(crate) const PARTIAL_ARGUMENTS: Field = word(24);
/// Of the small objects that stand between a coroutine and what it awaits.
pub(crate) const AWAITED: Field = word(16);
/// From 3.11: the frame that a frame object stands for.
pub(crate) const FRAME_OBJECT_FRAME: Field = word(24);
pub(crate) const TYPE_BASIC_SIZE: Field = word(32);
pub(crate) const TYPE_BASE: Field = word(256);
pub(crate) const TYPE_DICT: Field = word(264);
pub(crate) const TYPE_DICT_OFFSET: Field = word(288);
pub(crate) const GC_NEXT: u64 = 0;
pub(crate) const GC_HEAD_SIZE: u64 = 16;
pub(crate) const GC_GENERATIONS: [u64; 3] = [24, 48, 72];

/// All that is known of one version's objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueLayout {
    /// `PyInterpreterState.imports.modules` (until 3.11 `modules`): `sys.modules`.
    pub interpreter_modules: Field,
    /// `PyInterpreterState.gc`.
    pub interpreter_gc: u64,
    pub exceptions: ExceptionFields,
    /// The first item of a tuple.
    pub tuple_items: u64,
    pub dict: DictFields,
    pub attributes: Attributes,
    pub heap_type: HeapTypeFields,
    pub int: IntFields,
    pub function: FunctionFields,
    pub generator: GeneratorFields,
    pub stack: StackFields,
    pub code: CodeValueFields,
    /// Until 3.13; 3.14 tells the place of tasks itself.
    pub task: Option<TaskFields>,
}

/// A thread's exceptions, and `PyBaseExceptionObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExceptionFields {
    /// `curexc_type` (until 3.11).
    pub pending_type: Option<Field>,
    /// `curexc_value`; `current_exception` from 3.12 on.
    pub pending: Field,
    /// `exc_info` of the thread state: the newest `_PyErr_StackItem`.
    pub handled: Field,
    /// `_PyErr_StackItem`.
    pub item_value: Field,
    pub item_previous: Field,
    pub args: Field,
    pub context: Field,
    pub cause: Field,
    pub suppress_context: Field,
    /// `PyOSErrorObject`.
    pub os_errno: Field,
    pub os_strerror: Field,
    pub os_filename: Field,
}

/// `PyDictObject` and its keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DictFields {
    pub keys: Field,
    /// Not null: values stand apart from the keys (a split table).
    pub values: Field,
    pub table: KeyTable,
    /// Where the values begin in `PyDictValues`.
    pub values_start: u64,
}

/// `PyDictKeysObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyTable {
    /// Until 3.10: `dk_size` tells the width of indices; entries of (hash, key, value).
    Sized { size: Field, entries: Field, indices: u64 },
    /// From 3.11: `dk_kind` 0 has entries of (hash, key, value), others of (key, value).
    Logarithmic { log2_index_bytes: Field, kind: Field, entries: Field, indices: u64 },
}

/// Where instances of Python classes keep their attributes, when not in a dict that
/// `tp_dictoffset` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attributes {
    /// Until 3.10.
    Dict,
    /// 3.11: values 32 bytes, else a dict 24 bytes before the object.
    ValuesBefore,
    /// 3.12: a tagged pointer 24 bytes before the object; bit 0 = values, minus one.
    TaggedBefore,
    /// From 3.13: a dict 24 bytes before the object, or values behind its basic size.
    InlineBehind,
}

/// `PyHeapTypeObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeapTypeFields {
    pub qualname: Field,
    pub cached_keys: Field,
}

/// `PyLongObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum IntFields {
    /// Until 3.11: `ob_size`, negative for negative numbers.
    Signed { size: Field, digits: u64 },
    /// From 3.12: `lv_tag`; bits 0-1: 0 positive, 1 zero, 2 negative; from bit 3 on: digits.
    Tagged { tag: Field, digits: u64 },
}

/// `PyFunctionObject`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FunctionFields {
    pub qualname: Field,
    pub closure: Field,
}

/// `PyGenObject`; coroutines and asynchronous generators begin alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GeneratorFields {
    pub frame: GeneratorFrame,
    pub delegation: Delegation,
}

/// Where the frame of a generator is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GeneratorFrame {
    /// `gi_frame` (until 3.10); null when it has ended.
    Pointer(Field),
    /// `gi_iframe` is part of it (from 3.11); `gi_frame_state` > 0 when it has ended.
    Inside { offset: u64, state: Field },
}

/// How one sees that a suspended generator waits for another (`yield from`, `await`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delegation {
    /// Until 3.10: the next opcode is this one (`YIELD_FROM`).
    Opcode(u8),
    /// 3.11, 3.12: the next opcode is one of these, its argument at least 2 (`RESUME`).
    Resume([u8; 2]),
    /// From 3.13: `gi_frame_state` is `FRAME_SUSPENDED_YIELD_FROM`.
    State(i8),
}

/// Local variables and the value stack of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StackFields {
    /// Offset of the first local variable.
    pub locals: u64,
    pub top: StackTop,
    /// Bits of a stack reference that are no part of the address.
    pub tag_bits: u64,
}

/// How a frame tells where its value stack ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StackTop {
    /// Address behind the last value (3.9 `f_stacktop`, 3.14 `stackpointer`).
    Address(Field),
    /// 3.10: `f_valuestack` and `f_stackdepth`.
    Depth { values: Field, depth: Field },
    /// 3.11 to 3.13: `stacktop`, an index from the first local variable on.
    Index(Field),
}

/// What `PyCodeObject` tells of variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeValueFields {
    pub flags: Field,
    pub argument_count: Field,
    pub keyword_only_count: Field,
    pub names: VariableNames,
}

/// Names of local variables, in the order of their slots.
#[derive(Debug, Clone, Copy)]
pub(crate) enum VariableNames {
    /// Until 3.10: three tuples, one after another.
    Split { variables: Field, cells: Field, free: Field, bytecode: Field },
    /// From 3.11: one tuple, and a `bytes` with the kind of each.
    Together { names: Field, kinds: Field },
}

/// `FutureObj` and `TaskObj` of `Modules/_asynciomodule.c`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskFields {
    pub event_loop: Field,
    pub callback0: Field,
    pub callbacks: Field,
    pub coroutine: Field,
    pub name: Field,
    /// `fut_state` and `task_fut_waiter`; `None` when a later 3.14 has moved them.
    pub state: Option<Field>,
    pub waiter: Option<Field>,
    /// From 3.14: the task that waits for this one, or a set of them.
    pub awaited_by: Option<AwaitedBy>,
}

/// Who waits for a task (3.14).
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwaitedBy {
    pub tasks: Field,
    pub is_set: Field,
}

/// The layout of `python_version`; `None` when objects of this build are not known.
pub(crate) fn choose(
    source: &mut Source<'_>,
    runtime_address: u64,
    python_version: u32,
) -> Result<Option<ValueLayout>, Fault> {
    const FIRST_TO_TELL: u32 = 0x030D;
    let version = python_version >> 16;
    if version >= FIRST_TO_TELL && debug_offsets::is_free_threaded(source, runtime_address)? {
        return Ok(None);
    }
    match version {
        0x0309 => Ok(Some(v3_9::LAYOUT)),
        0x030A => Ok(Some(v3_10::LAYOUT)),
        0x030B => Ok(Some(v3_11::LAYOUT)),
        0x030C => Ok(Some(v3_12::LAYOUT)),
        0x030D => Ok(Some(v3_13::LAYOUT)),
        0x030E => debug_offsets::refine(source, runtime_address, v3_14::LAYOUT),
        _ => Ok(None),
    }
}
