//! CPython 3.13; offsets from 3.13.0.
//!
//! The target tells most of them itself (`debug_offsets`); these stand in when it does not,
//! and for the fields that it does not tell: `current_exception`, `_co_firsttraceable` and
//! the GIL's. `instr_ptr` is the code unit being executed (during a call: the call).

use super::v3_12::LAYOUT as BEFORE;
use super::{
    Chain, CodeFields, Gil, InterpreterFields, Layout, RuntimeFields, ThreadFields, free_threaded,
    int, word,
};

/// What moved since 3.12.
pub(super) const LAYOUT: Layout = Layout {
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
        thread_id: word(152),
        native_thread_id: Some(word(160)),
        exception: Some(word(112)),
        ..BEFORE.thread
    },
    chain: Chain::ShimFrames { current_frame: word(72) },
    code: CodeFields { first_traceable: Some(int(184)), bytecode: Some(200), ..BEFORE.code },
    ..BEFORE
};

/// 3.13.5 without a GIL: one copy of the bytecode, shared by all threads.
pub(super) const FREE_THREADED: Layout = Layout {
    interpreter: InterpreterFields { sysdict: word(7648), ..LAYOUT.interpreter },
    ..free_threaded(LAYOUT)
};
