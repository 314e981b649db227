//! What the tables say, as questions in C and the answers that are expected.
#![allow(clippy::arithmetic_side_effects)]

use lastwords_format::streams::python::GIL_SIZE;

use super::shape::Shape;
use super::{
    Chain, Field, Gil, Instruction, Layout, Owner, byte, debug_offsets, v3_9, v3_10, v3_11, v3_12,
    v3_13, v3_14, v3_15, word,
};
use crate::lines::LineTableFormat;

/// The built-in layout of a version.
pub(super) fn table(minor: u32, is_free_threaded: bool) -> Layout {
    match (minor, is_free_threaded) {
        (9, _) => v3_9::LAYOUT,
        (10, _) => v3_10::LAYOUT,
        (11, _) => v3_11::LAYOUT,
        (12, _) => v3_12::LAYOUT,
        (13, false) => v3_13::LAYOUT,
        (13, true) => v3_13::FREE_THREADED,
        (14, false) => v3_14::LAYOUT,
        (14, true) => v3_14::FREE_THREADED,
        (_, false) => v3_15::LAYOUT,
        (_, true) => v3_15::FREE_THREADED,
    }
}

/// All that is claimed of a version: name, expression in C, value.
pub(super) fn claims(minor: u32, is_free_threaded: bool) -> Vec<(String, String, u64)> {
    let layout = table(minor, is_free_threaded);
    let mut all = fields(&layout);
    match minor {
        0..13 => {}
        13 => all.extend(shape_claims(&debug_offsets::V3_13.shape)),
        14 => all.extend(shape_claims(&debug_offsets::V3_14.shape)),
        _ => all.extend(shape_claims(&debug_offsets::V3_15.shape)),
    }
    let offset = |(structure, member, field): Claim| {
        let expression = format!("(unsigned long)&((({structure} *)0)->{member})");
        (format!("{structure}.{member}"), expression, field.offset)
    };
    let size = |(structure, size): (&str, u64)| {
        (structure.to_owned(), format!("(unsigned long)sizeof({structure})"), size)
    };
    let sizes = [
        ("PyASCIIObject", layout.unicode.ascii_data),
        ("PyCompactUnicodeObject", layout.unicode.compact_data),
        ("struct _gil_runtime_state", GIL_SIZE + if layout.is_free_threaded { 8 } else { 0 }),
    ];
    all.into_iter().map(offset).chain(sizes.map(size)).collect()
}

/// A field by its name in C, and where the table says it is.
type Claim = (&'static str, &'static str, Field);

fn fields(layout: &Layout) -> Vec<Claim> {
    let mut claims = vec![
        ("_PyRuntimeState", "interpreters.head", layout.runtime.interpreters_head),
        ("_PyRuntimeState", "_finalizing", layout.runtime.finalizing),
        ("PyInterpreterState", "next", layout.interpreter.next),
        ("PyInterpreterState", "id", layout.interpreter.id),
        ("PyInterpreterState", "sysdict", layout.interpreter.sysdict),
        ("PyInterpreterState", "gc.collecting", layout.interpreter.collecting),
        ("PyThreadState", "next", layout.thread.next),
        ("PyThreadState", "interp", layout.thread.interp),
        ("PyThreadState", "thread_id", layout.thread.thread_id),
        ("PyObject", "ob_type", layout.object_type),
        ("PyVarObject", "ob_size", layout.var_size),
        ("PyASCIIObject", "length", layout.unicode.length),
        ("PyASCIIObject", "state", layout.unicode.state),
        ("PyBytesObject", "ob_sval", byte(layout.bytes_data)),
        ("PyTypeObject", "tp_name", layout.type_name),
        ("PyTypeObject", "tp_flags", layout.type_flags),
        ("PyCodeObject", "co_filename", layout.code.file),
        ("PyCodeObject", "co_name", layout.code.name),
        ("PyCodeObject", "co_firstlineno", layout.code.first_line),
    ];
    let old = matches!(layout.frame.owner, Owner::GeneratorPointer(_));
    let threads_head = if old { "tstate_head" } else { "threads.head" };
    claims.push(("PyInterpreterState", threads_head, layout.interpreter.threads_head));
    let is_3_9 = layout.code.line_table_format == LineTableFormat::V3_9;
    let line_table = if is_3_9 { "co_lnotab" } else { "co_linetable" };
    claims.push(("PyCodeObject", line_table, layout.code.line_table));
    let is_new = layout.thread.is_exception_instance;
    let exception = if is_new { "current_exception" } else { "curexc_type" };
    claims.extend(layout.thread.exception.map(|f| ("PyThreadState", exception, f)));
    let finalizing = if is_new { "_finalizing" } else { "finalizing" };
    claims.extend(layout.interpreter.finalizing.map(|f| ("PyInterpreterState", finalizing, f)));
    claims.extend(layout.code.thread_bytecodes.map(|f| ("PyCodeObject", "co_tlbc", f)));
    claims.extend(layout.code.thread_bytecodes.map(|_| ("_PyCodeArray", "entries", word(8))));
    claims.extend(layout.frame.bytecode_index.map(|f| ("_PyInterpreterFrame", "tlbc_index", f)));
    claims.extend(layout.thread.native_thread_id.map(|f| ("PyThreadState", "native_thread_id", f)));
    claims.extend(layout.code.qualname.map(|f| ("PyCodeObject", "co_qualname", f)));
    claims.extend(layout.code.first_traceable.map(|f| ("PyCodeObject", "_co_firsttraceable", f)));
    claims.extend(layout.code.bytecode.map(|o| ("PyCodeObject", "co_code_adaptive", byte(o))));
    claims.extend(gil_claims(&layout.gil));
    claims.extend(chain_claims(&layout.chain));
    claims.extend(frame_claims(layout));
    claims
}

fn gil_claims(gil: &Gil) -> Vec<Claim> {
    match *gil {
        Gil::Runtime { tstate_current, gil } => vec![
            ("_PyRuntimeState", "gilstate.tstate_current", tstate_current),
            ("_PyRuntimeState", "ceval.gil", byte(gil)),
        ],
        Gil::Interpreter { gil, last_holder, locked, enabled } => {
            let mut claims = vec![
                ("PyInterpreterState", "ceval.gil", gil),
                ("struct _gil_runtime_state", "last_holder", last_holder),
                ("struct _gil_runtime_state", "locked", locked),
            ];
            claims.extend(enabled.map(|f| ("struct _gil_runtime_state", "enabled", f)));
            claims
        }
    }
}

fn chain_claims(chain: &Chain) -> Vec<Claim> {
    match *chain {
        Chain::UnanchoredFrameObjects { frame, use_tracing } => {
            vec![("PyThreadState", "frame", frame), ("PyThreadState", "use_tracing", use_tracing)]
        }
        Chain::FrameObjects { frame, cframe, root_cframe, cframe_previous } => vec![
            ("PyThreadState", "frame", frame),
            ("PyThreadState", "cframe", cframe),
            ("PyThreadState", "root_cframe", byte(root_cframe)),
            ("CFrame", "previous", cframe_previous),
        ],
        Chain::EntryFrames { cframe, root_cframe, current_frame, cframe_previous, is_entry } => {
            vec![
                ("PyThreadState", "cframe", cframe),
                ("PyThreadState", "root_cframe", byte(root_cframe)),
                ("_PyCFrame", "current_frame", current_frame),
                ("_PyCFrame", "previous", cframe_previous),
                ("_PyInterpreterFrame", "is_entry", is_entry),
            ]
        }
        Chain::ShimFramesBehindCFrame { cframe, current_frame } => {
            vec![("PyThreadState", "cframe", cframe), ("_PyCFrame", "current_frame", current_frame)]
        }
        Chain::ShimFrames { current_frame } => {
            vec![("PyThreadState", "current_frame", current_frame)]
        }
    }
}

fn frame_claims(layout: &Layout) -> Vec<Claim> {
    let fields = layout.frame;
    match (fields.instruction, fields.owner) {
        (
            Instruction::ByteIndex(lasti) | Instruction::UnitIndex(lasti),
            Owner::GeneratorPointer(generator),
        ) => vec![
            ("PyFrameObject", "f_back", fields.previous),
            ("PyFrameObject", "f_code", fields.code),
            ("PyFrameObject", "f_lasti", lasti),
            ("PyFrameObject", "f_gen", generator),
        ],
        (Instruction::Address(instruction), Owner::Enum(owner)) => {
            let is_new = matches!(layout.chain, Chain::ShimFrames { .. });
            vec![
                ("_PyInterpreterFrame", "previous", fields.previous),
                (
                    "_PyInterpreterFrame",
                    if is_new { "f_executable" } else { "f_code" },
                    fields.code,
                ),
                (
                    "_PyInterpreterFrame",
                    if is_new { "instr_ptr" } else { "prev_instr" },
                    instruction,
                ),
                ("_PyInterpreterFrame", "owner", owner),
            ]
        }
        other => panic!("no version mixes {other:?}"),
    }
}

fn shape_claims(shape: &Shape) -> Vec<Claim> {
    let at = |member, offset| ("_Py_DebugOffsets", member, word(offset));
    let mut claims = vec![
        at("free_threaded", 16),
        at("runtime_state.interpreters_head", 40),
        at("interpreter_state.threads_head", 72),
        at("interpreter_state.gc", shape.gc),
        at("interpreter_state.sysdict", shape.gc + 16),
        at("interpreter_state.gil_runtime_state_holder", shape.gc + 64),
        at("thread_state", shape.thread_state),
        at("thread_state.current_frame", shape.thread_state + 32),
        at("thread_state.native_thread_id", shape.thread_id + 8),
        at("interpreter_frame", shape.interpreter_frame),
        at("interpreter_frame.owner", shape.interpreter_frame + 40),
        at("code_object", shape.code_object),
        at("code_object.firstlineno", shape.code_object + 40),
        at("code_object.co_code_adaptive", shape.code_object + 72),
        at("pyobject", shape.pyobject),
        at("type_object.tp_flags", shape.pyobject + 40),
        at("bytes_object", shape.bytes_object),
        at("unicode_object.asciiobject_size", shape.bytes_object + 48),
        at("gc.collecting", shape.gc_state + 8),
    ];
    claims.extend(shape.current_exception.map(|o| at("thread_state.current_exception", o)));
    claims.extend(shape.tlbc_index.map(|offset| at("interpreter_frame.tlbc_index", offset)));
    claims.extend(shape.co_tlbc.map(|offset| at("code_object.co_tlbc", offset)));
    claims
}
