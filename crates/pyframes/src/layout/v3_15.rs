//! CPython 3.15; offsets from 3.15.2.
//!
//! As 3.14, but one more shim ends each chain of frames, behind the oldest one on the stack: it
//! is part of the thread state (`_PyThreadStateImpl.base_frame`), and runs nothing.

use super::{
    Chain, CodeFields, FrameFields, Gil, Instruction, InterpreterFields, Layout, Owner,
    RuntimeFields, ThreadFields, UnicodeFields, byte, free_threaded, int, word,
};
use crate::lines::LineTableFormat;

pub(super) const LAYOUT: Layout = Layout {
    is_free_threaded: false,
    runtime: RuntimeFields { interpreters_head: word(936), finalizing: word(912) },
    interpreter: InterpreterFields {
        next: word(7264),
        id: word(7272),
        threads_head: word(7336),
        sysdict: word(7576),
        collecting: int(7512),
        finalizing: Some(word(7384)),
    },
    gil: Gil::Interpreter { gil: word(16), last_holder: word(8), locked: int(16), enabled: None },
    thread: ThreadFields {
        next: word(8),
        interp: word(16),
        thread_id: word(176),
        native_thread_id: Some(word(184)),
        exception: Some(word(136)),
        is_exception_instance: true,
    },
    chain: Chain::ShimFrames { current_frame: word(72) },
    frame: FrameFields {
        code: word(0),
        is_code_tagged: true,
        previous: word(8),
        instruction: Instruction::Address(word(56)),
        bytecode_index: None,
        owner: Owner::Enum(byte(74)),
    },
    code: CodeFields {
        file: word(112),
        name: word(120),
        qualname: Some(word(128)),
        line_table: word(136),
        line_table_format: LineTableFormat::V3_11,
        first_line: int(68),
        first_traceable: Some(int(192)),
        bytecode: Some(208),
        thread_bytecodes: None,
    },
    object_type: word(8),
    var_size: word(16),
    unicode: UnicodeFields { length: word(16), state: int(32), ascii_data: 40, compact_data: 56 },
    bytes_data: 32,
    type_name: word(24),
    type_flags: word(168),
};

/// 3.15.2 without a GIL, from its headers.
pub(super) const FREE_THREADED: Layout = {
    let layout = free_threaded(LAYOUT);
    Layout {
        interpreter: InterpreterFields { sysdict: word(7576), ..layout.interpreter },
        frame: FrameFields {
            bytecode_index: Some(int(72)),
            owner: Owner::Enum(byte(78)),
            ..layout.frame
        },
        code: CodeFields { bytecode: Some(232), thread_bytecodes: Some(word(224)), ..layout.code },
        ..layout
    }
};
