//! CPython 3.15; offsets from 3.15.2.
//!
//! As 3.14, but one more shim ends each chain of frames, behind the oldest one on the stack: it
//! is part of the thread state (`_PyThreadStateImpl.base_frame`), and runs nothing.

use super::v3_14::LAYOUT as BEFORE;
use super::{
    CodeFields, FrameFields, InterpreterFields, Layout, Owner, RuntimeFields, ThreadFields, byte,
    free_threaded, int, word,
};

/// What moved since 3.14.
pub(super) const LAYOUT: Layout = Layout {
    runtime: RuntimeFields { interpreters_head: word(936), finalizing: word(912) },
    interpreter: InterpreterFields {
        next: word(7264),
        id: word(7272),
        threads_head: word(7336),
        sysdict: word(7576),
        collecting: int(7512),
        finalizing: Some(word(7384)),
    },
    thread: ThreadFields {
        thread_id: word(176),
        native_thread_id: Some(word(184)),
        exception: Some(word(136)),
        ..BEFORE.thread
    },
    ..BEFORE
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
