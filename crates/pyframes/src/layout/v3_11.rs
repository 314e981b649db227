//! CPython 3.11; offsets from 3.11.7.
//!
//! `_PyInterpreterFrame` (`Include/internal/pycore_frame.h`): `prev_instr` is the last code
//! unit executed. `_PyCFrame` (`Include/cpython/pystate.h`) is a local variable of
//! `_PyEval_EvalFrameDefault`, linked from `tstate->cframe`; the oldest one is part of the
//! thread state (`root_cframe`) and belongs to no native frame.

use super::{
    Chain, CodeFields, FrameFields, Gil, Instruction, InterpreterFields, Layout, Owner,
    RuntimeFields, ThreadFields, UnicodeFields, byte, int, word,
};
use crate::lines::LineTableFormat;

pub(super) const LAYOUT: Layout = Layout {
    is_free_threaded: false,
    runtime: RuntimeFields { interpreters_head: word(40), finalizing: word(24) },
    interpreter: InterpreterFields {
        next: word(0),
        id: word(48),
        threads_head: word(16),
        sysdict: word(904),
        collecting: int(848),
        finalizing: Some(int(84)),
    },
    gil: Gil::Runtime { tstate_current: word(576), gil: 360 },
    thread: ThreadFields {
        next: word(8),
        interp: word(16),
        thread_id: word(152),
        native_thread_id: Some(word(160)),
        exception: Some(word(96)),
        is_exception_instance: false,
    },
    chain: Chain::EntryFrames {
        cframe: word(56),
        root_cframe: 336,
        current_frame: word(8),
        cframe_previous: word(16),
        is_entry: byte(68),
    },
    frame: FrameFields {
        code: word(32),
        is_code_tagged: false,
        previous: word(48),
        instruction: Instruction::Address(word(56)),
        bytecode_index: None,
        owner: Owner::Enum(byte(69)),
    },
    code: CodeFields {
        file: word(112),
        name: word(120),
        qualname: Some(word(128)),
        line_table: word(136),
        line_table_format: LineTableFormat::V3_11,
        first_line: int(72),
        first_traceable: Some(int(168)),
        bytecode: Some(184),
        thread_bytecodes: None,
    },
    object_type: word(8),
    var_size: word(16),
    unicode: UnicodeFields { length: word(16), state: int(32), ascii_data: 48, compact_data: 72 },
    bytes_data: 32,
    type_name: word(24),
    type_flags: word(168),
};
