//! CPython 3.14; offsets from 3.14.10.
//!
//! As 3.13, but `f_executable` is a `_PyStackRef`: an address whose lowest bits are tags. The
//! shim on the C stack is an `_PyEntryFrame` of owner `FRAME_OWNED_BY_INTERPRETER`
//! (`Include/internal/pycore_interpframe_structs.h`); in builds that dispatch by tail calls
//! too, where the handlers of bytecodes are functions below it. Without a GIL each thread
//! runs a copy of the bytecode of its own (`co_tlbc`), told apart by `tlbc_index`.

use super::v3_13::LAYOUT as BEFORE;
use super::{
    CodeFields, FrameFields, InterpreterFields, Layout, Owner, RuntimeFields, byte, free_threaded,
    int, word,
};

/// What moved since 3.13.
pub(super) const LAYOUT: Layout = Layout {
    runtime: RuntimeFields { interpreters_head: word(808), finalizing: word(784) },
    interpreter: InterpreterFields {
        next: word(7272),
        id: word(7280),
        sysdict: word(7672),
        finalizing: Some(word(7392)),
        ..BEFORE.interpreter
    },
    frame: FrameFields { is_code_tagged: true, owner: Owner::Enum(byte(74)), ..BEFORE.frame },
    code: CodeFields { first_traceable: Some(int(192)), bytecode: Some(208), ..BEFORE.code },
    ..BEFORE
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
