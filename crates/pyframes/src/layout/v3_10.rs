//! CPython 3.10; offsets from 3.10.13.
//!
//! `PyFrameObject` (`Include/cpython/frameobject.h`): `f_lasti` counts code units; `f_gen` is
//! the generator that owns the frame. `CFrame` (`Include/cpython/pystate.h`) is a local
//! variable of `_PyEval_EvalFrameDefault`, linked from `tstate->cframe`.

use super::{
    Chain, CodeFields, FrameFields, Gil, Instruction, InterpreterFields, Layout, Owner,
    RuntimeFields, ThreadFields, UnicodeFields, int, word,
};
use crate::lines::LineTableFormat;

pub(super) const LAYOUT: Layout = Layout {
    is_free_threaded: false,
    runtime: RuntimeFields { interpreters_head: word(32), finalizing: word(16) },
    interpreter: InterpreterFields {
        next: word(0),
        id: word(24),
        threads_head: word(8),
        sysdict: word(872),
        collecting: int(816),
        finalizing: Some(int(56)),
    },
    gil: Gil::Runtime { tstate_current: word(568), gil: 352 },
    thread: ThreadFields {
        next: word(8),
        interp: word(16),
        thread_id: word(176),
        native_thread_id: None,
        exception: Some(word(88)),
        is_exception_instance: false,
    },
    chain: Chain::FrameObjects {
        frame: word(24),
        cframe: word(48),
        root_cframe: 264,
        cframe_previous: word(8),
    },
    frame: FrameFields {
        code: word(32),
        is_code_tagged: false,
        previous: word(24),
        instruction: Instruction::UnitIndex(int(96)),
        bytecode_index: None,
        owner: Owner::GeneratorPointer(word(88)),
    },
    code: CodeFields {
        file: word(104),
        name: word(112),
        qualname: None,
        line_table: word(120),
        line_table_format: LineTableFormat::V3_10,
        first_line: int(40),
        first_traceable: None,
        bytecode: None,
        thread_bytecodes: None,
    },
    object_type: word(8),
    var_size: word(16),
    unicode: UnicodeFields { length: word(16), state: int(32), ascii_data: 48, compact_data: 72 },
    bytes_data: 32,
    type_name: word(24),
    type_flags: word(168),
};
