//! CPython 3.12; offsets from 3.12.1.
//!
//! Each `_PyEval_EvalFrameDefault` has a shim frame as a local variable (`entry_frame`, owner
//! `FRAME_OWNED_BY_CSTACK`, `Include/internal/pycore_frame.h`) that is the `previous` of the
//! oldest frame it runs.

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
        id: word(8),
        threads_head: word(72),
        sysdict: word(352),
        collecting: int(312),
        finalizing: Some(word(104)),
    },
    gil: Gil::Interpreter { gil: word(384), last_holder: word(8), locked: int(16), enabled: None },
    thread: ThreadFields {
        next: word(8),
        interp: word(16),
        thread_id: word(136),
        native_thread_id: Some(word(144)),
        exception: Some(word(96)),
        is_exception_instance: true,
    },
    chain: Chain::ShimFramesBehindCFrame { cframe: word(56), current_frame: word(0) },
    frame: FrameFields {
        code: word(0),
        is_code_tagged: false,
        previous: word(8),
        instruction: Instruction::Address(word(56)),
        bytecode_index: None,
        owner: Owner::Enum(byte(70)),
    },
    code: CodeFields {
        file: word(112),
        name: word(120),
        qualname: Some(word(128)),
        line_table: word(136),
        line_table_format: LineTableFormat::V3_11,
        first_line: int(68),
        first_traceable: Some(int(176)),
        bytecode: Some(192),
        thread_bytecodes: None,
    },
    object_type: word(8),
    var_size: word(16),
    unicode: UnicodeFields { length: word(16), state: int(32), ascii_data: 40, compact_data: 56 },
    bytes_data: 32,
    type_name: word(24),
    type_flags: word(168),
};
