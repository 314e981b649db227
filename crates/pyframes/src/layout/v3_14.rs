//! CPython 3.14; offsets from 3.14.10.
//!
//! As 3.13, but `f_executable` is a `_PyStackRef`: an address whose lowest bits are tags. The
//! shim on the C stack is an `_PyEntryFrame` of owner `FRAME_OWNED_BY_INTERPRETER`
//! (`Include/internal/pycore_interpframe_structs.h`); in builds that dispatch by tail calls
//! too, where the handlers of bytecodes are functions below it. Without a GIL each thread
//! runs a copy of the bytecode of its own (`co_tlbc`), told apart by `tlbc_index`.

use super::{
    Chain, CodeFields, FrameFields, Gil, Instruction, InterpreterFields, Layout, Owner,
    RuntimeFields, ThreadFields, UnicodeFields, byte, free_threaded, int, word,
};
use crate::lines::LineTableFormat;

pub(super) const LAYOUT: Layout = Layout {
    is_free_threaded: false,
    runtime: RuntimeFields { interpreters_head: word(808), finalizing: word(784) },
    interpreter: InterpreterFields {
        next: word(7272),
        id: word(7280),
        threads_head: word(7344),
        sysdict: word(7672),
        collecting: int(7600),
        finalizing: Some(word(7392)),
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

/// 3.14.10 without a GIL, from its headers.
pub(super) const FREE_THREADED: Layout = {
    let layout = free_threaded(LAYOUT);
    Layout {
        interpreter: InterpreterFields { sysdict: word(7696), ..layout.interpreter },
        frame: FrameFields {
            bytecode_index: Some(int(72)),
            owner: Owner::Enum(byte(78)),
            ..layout.frame
        },
        code: CodeFields { bytecode: Some(232), thread_bytecodes: Some(word(224)), ..layout.code },
        ..layout
    }
};
