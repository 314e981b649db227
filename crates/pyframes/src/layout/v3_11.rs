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

pub(super) const LAYOUT: Layout = Layout {
    runtime: RuntimeFields { interpreters_head: word(40), finalizing: word(24) },
    interpreter: InterpreterFields { next: word(0), id: word(48), threads_head: word(16) },
    gil: Gil::Runtime { tstate_current: word(576) },
    thread: ThreadFields {
        next: word(8),
        interp: word(16),
        thread_id: word(152),
        native_thread_id: Some(word(160)),
        exception: word(96),
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
        previous: word(48),
        instruction: Instruction::Address(word(56)),
        owner: Owner::Enum(byte(69)),
    },
    code: CodeFields {
        file: word(112),
        name: word(120),
        qualname: Some(word(128)),
        line_table: word(136),
        first_line: int(72),
        first_traceable: Some(int(168)),
        bytecode: Some(184),
    },
    object_type: word(8),
    var_size: word(16),
    unicode: UnicodeFields { length: word(16), state: int(32), ascii_data: 48, compact_data: 72 },
    bytes_data: 32,
    type_name: word(24),
    type_flags: word(168),
};
