//! CPython 3.13; offsets from 3.13.0.
//!
//! The target tells most of them itself (`debug_offsets`); these stand in when it does not,
//! and for the fields that it does not tell: `current_exception`, `_co_firsttraceable` and
//! the GIL's. `instr_ptr` is the code unit being executed (during a call: the call).

use super::{
    Chain, CodeFields, FrameFields, Gil, Instruction, InterpreterFields, Layout, Owner,
    RuntimeFields, ThreadFields, UnicodeFields, byte, free_threaded, int, word,
};
use crate::lines::LineTableFormat;

pub(super) const LAYOUT: Layout = Layout {
    is_free_threaded: false,
    runtime: RuntimeFields { interpreters_head: word(632), finalizing: word(608) },
    interpreter: InterpreterFields {
        next: word(7264),
        id: word(7272),
        threads_head: word(7344),
        sysdict: word(7640),
        collecting: int(7600),
        finalizing: Some(word(7384)),
    },
    gil: Gil::Interpreter { gil: word(16), last_holder: word(8), locked: int(16), enabled: None },
    thread: ThreadFields {
        next: word(8),
        interp: word(16),
        thread_id: word(152),
        native_thread_id: Some(word(160)),
        exception: Some(word(112)),
        is_exception_instance: true,
    },
    chain: Chain::ShimFrames { current_frame: word(72) },
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
        first_traceable: Some(int(184)),
        bytecode: Some(200),
        thread_bytecodes: None,
    },
    object_type: word(8),
    var_size: word(16),
    unicode: UnicodeFields { length: word(16), state: int(32), ascii_data: 40, compact_data: 56 },
    bytes_data: 32,
    type_name: word(24),
    type_flags: word(168),
};

/// 3.13.5 without a GIL: one copy of the bytecode, shared by all threads.
pub(super) const FREE_THREADED: Layout = Layout {
    interpreter: InterpreterFields { sysdict: word(7648), ..LAYOUT.interpreter },
    ..free_threaded(LAYOUT)
};
