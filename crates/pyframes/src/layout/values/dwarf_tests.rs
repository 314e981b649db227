//! The tables of values, compared with the debug information of the interpreters of this
//! machine and of their `_asyncio`.
#![allow(clippy::arithmetic_side_effects)]

use std::path::{Path, PathBuf};

use super::*;
use crate::interpreters::{Interpreter, interpreters};
use crate::layout::dwarf_tests::{ask_gdb, binary};

/// A field by its name in C, and where the table says it is.
type Claim = (&'static str, &'static str, u64);

fn layout_of(minor: u32) -> Option<ValueLayout> {
    Some(match minor {
        9 => v3_9::LAYOUT,
        10 => v3_10::LAYOUT,
        11 => v3_11::LAYOUT,
        12 => v3_12::LAYOUT,
        13 => v3_13::LAYOUT,
        14 => v3_14::LAYOUT,
        _ => return None,
    })
}

fn constant_claims() -> Vec<Claim> {
    vec![
        ("PyVarObject", "ob_size", SIZE.offset),
        ("PyListObject", "ob_item", LIST_ITEMS.offset),
        ("PySetObject", "used", SET_USED.offset),
        ("PySetObject", "mask", SET_MASK.offset),
        ("PySetObject", "table", SET_TABLE.offset),
        ("PyFloatObject", "ob_fval", FLOAT_VALUE.offset),
        ("PyComplexObject", "cval.real", FLOAT_VALUE.offset),
        ("PyComplexObject", "cval.imag", IMAGINARY_PART.offset),
        ("PySliceObject", "start", START_STOP_STEP[0].offset),
        ("PySliceObject", "stop", START_STOP_STEP[1].offset),
        ("PySliceObject", "step", START_STOP_STEP[2].offset),
        ("rangeobject", "start", START_STOP_STEP[0].offset),
        ("rangeobject", "stop", START_STOP_STEP[1].offset),
        ("rangeobject", "step", START_STOP_STEP[2].offset),
        ("PyByteArrayObject", "ob_start", BYTEARRAY_START.offset),
        ("PyModuleObject", "md_dict", MODULE_DICT.offset),
        ("PyModuleObject", "md_def", MODULE_DEFINITION.offset),
        ("PyModuleObject", "md_name", MODULE_NAME.offset),
        ("PyMethodObject", "im_func", METHOD_FUNCTION.offset),
        ("PyMethodObject", "im_self", METHOD_SELF.offset),
        ("PyCFunctionObject", "m_ml", BUILTIN_DEFINITION.offset),
        ("PyCFunctionObject", "m_self", BUILTIN_SELF.offset),
        ("PyCellObject", "ob_ref", CELL_CONTENTS.offset),
        ("PyWeakReference", "wr_object", WEAKREF_OBJECT.offset),
        ("partialobject", "args", PARTIAL_ARGUMENTS.offset),
        ("PyAsyncGenASend", "ags_gen", AWAITED.offset),
        ("PyAsyncGenAThrow", "agt_gen", AWAITED.offset),
        ("PyCoroWrapper", "cw_coroutine", AWAITED.offset),
        ("PyTypeObject", "tp_basicsize", TYPE_BASIC_SIZE.offset),
        ("PyTypeObject", "tp_base", TYPE_BASE.offset),
        ("PyTypeObject", "tp_dict", TYPE_DICT.offset),
        ("PyTypeObject", "tp_dictoffset", TYPE_DICT_OFFSET.offset),
        ("PyGC_Head", "_gc_next", GC_NEXT),
    ]
}

fn claims(minor: u32, layout: &ValueLayout) -> Vec<Claim> {
    let mut claims = constant_claims();
    let modules = if minor >= 12 { "imports.modules" } else { "modules" };
    let exception = layout.exceptions;
    let pending = if minor >= 12 { "current_exception" } else { "curexc_value" };
    claims.extend([
        ("PyInterpreterState", modules, layout.interpreter_modules.offset),
        ("PyInterpreterState", "gc", layout.interpreter_gc),
        ("PyThreadState", pending, exception.pending.offset),
        ("PyThreadState", "exc_info", exception.handled.offset),
        ("_PyErr_StackItem", "exc_value", exception.item_value.offset),
        ("_PyErr_StackItem", "previous_item", exception.item_previous.offset),
        ("PyBaseExceptionObject", "args", exception.args.offset),
        ("PyBaseExceptionObject", "context", exception.context.offset),
        ("PyBaseExceptionObject", "cause", exception.cause.offset),
        ("PyBaseExceptionObject", "suppress_context", exception.suppress_context.offset),
        ("PyOSErrorObject", "myerrno", exception.os_errno.offset),
        ("PyOSErrorObject", "strerror", exception.os_strerror.offset),
        ("PyOSErrorObject", "filename", exception.os_filename.offset),
        ("PyTupleObject", "ob_item", layout.tuple_items),
        ("PyDictObject", "ma_keys", layout.dict.keys.offset),
        ("PyDictObject", "ma_values", layout.dict.values.offset),
        ("PyHeapTypeObject", "ht_qualname", layout.heap_type.qualname.offset),
        ("PyHeapTypeObject", "ht_cached_keys", layout.heap_type.cached_keys.offset),
        ("PyFunctionObject", "func_qualname", layout.function.qualname.offset),
        ("PyFunctionObject", "func_closure", layout.function.closure.offset),
        ("PyCodeObject", "co_flags", layout.code.flags.offset),
        ("PyCodeObject", "co_argcount", layout.code.argument_count.offset),
        ("PyCodeObject", "co_kwonlyargcount", layout.code.keyword_only_count.offset),
    ]);
    // GDB 13 puts `generations` at 20, where no pointer can be, in builds with LTO; behind its
    // three entries of 24 bytes follow, until 3.13, `generation0` and then this one.
    let behind = GC_GENERATIONS[2] + 24 + if minor >= 14 { 0 } else { 8 };
    claims.push(("struct _gc_runtime_state", "permanent_generation.head", behind));
    let pending_type = exception.pending_type;
    claims.extend(pending_type.map(|field| ("PyThreadState", "curexc_type", field.offset)));
    if minor >= 11 {
        claims.push(("struct _dictvalues", "values", layout.dict.values_start));
    }
    claims.extend(key_claims(&layout.dict.table));
    claims.extend(generator_claims(layout));
    claims.extend(name_claims(&layout.code.names));
    claims.extend(match layout.int {
        IntFields::Signed { size, digits } => {
            [("PyLongObject", "ob_base.ob_size", size.offset), ("PyLongObject", "ob_digit", digits)]
        }
        IntFields::Tagged { tag, digits } => [
            ("PyLongObject", "long_value.lv_tag", tag.offset),
            ("PyLongObject", "long_value.ob_digit", digits),
        ],
    });
    claims
}

fn key_claims(table: &KeyTable) -> Vec<Claim> {
    let keys = "struct _dictkeysobject";
    match *table {
        KeyTable::Sized { size, entries, indices } => vec![
            (keys, "dk_size", size.offset),
            (keys, "dk_nentries", entries.offset),
            (keys, "dk_indices", indices),
        ],
        KeyTable::Logarithmic { log2_index_bytes, kind, entries, indices } => vec![
            (keys, "dk_log2_index_bytes", log2_index_bytes.offset),
            (keys, "dk_kind", kind.offset),
            (keys, "dk_nentries", entries.offset),
            (keys, "dk_indices", indices),
        ],
    }
}

fn generator_claims(layout: &ValueLayout) -> Vec<Claim> {
    let (frame, is_inside) = match layout.generator.frame {
        GeneratorFrame::Pointer(_) => ("PyFrameObject", false),
        GeneratorFrame::Inside { .. } => ("struct _PyInterpreterFrame", true),
    };
    let locals = if is_inside { "localsplus" } else { "f_localsplus" };
    let mut claims = vec![(frame, locals, layout.stack.locals)];
    match layout.generator.frame {
        GeneratorFrame::Pointer(field) => claims.push(("PyGenObject", "gi_frame", field.offset)),
        GeneratorFrame::Inside { offset, state } => claims.extend([
            ("PyGenObject", "gi_iframe", offset),
            ("PyCoroObject", "cr_iframe", offset),
            ("PyAsyncGenObject", "ag_iframe", offset),
            ("PyGenObject", "gi_frame_state", state.offset),
        ]),
    }
    match layout.stack.top {
        StackTop::Address(field) if is_inside => claims.push((frame, "stackpointer", field.offset)),
        StackTop::Address(field) => claims.push((frame, "f_stacktop", field.offset)),
        StackTop::Depth { values, depth } => claims.extend([
            (frame, "f_valuestack", values.offset),
            (frame, "f_stackdepth", depth.offset),
        ]),
        StackTop::Index(field) => claims.push((frame, "stacktop", field.offset)),
    }
    if is_inside {
        claims.push(("PyFrameObject", "f_frame", FRAME_OBJECT_FRAME.offset));
    }
    claims
}

fn name_claims(names: &VariableNames) -> Vec<Claim> {
    let code = "PyCodeObject";
    match *names {
        VariableNames::Split { variables, cells, free, bytecode } => vec![
            (code, "co_varnames", variables.offset),
            (code, "co_cellvars", cells.offset),
            (code, "co_freevars", free.offset),
            (code, "co_code", bytecode.offset),
        ],
        VariableNames::Together { names, kinds } => vec![
            (code, "co_localsplusnames", names.offset),
            (code, "co_localspluskinds", kinds.offset),
        ],
    }
}

fn task_claims(task: &TaskFields) -> Vec<Claim> {
    let mut claims = vec![
        ("futureiterobject", "future", AWAITED.offset),
        ("FutureObj", "fut_loop", task.event_loop.offset),
        ("FutureObj", "fut_callback0", task.callback0.offset),
        ("FutureObj", "fut_callbacks", task.callbacks.offset),
        ("TaskObj", "task_loop", task.event_loop.offset),
        ("TaskObj", "task_callback0", task.callback0.offset),
        ("TaskObj", "task_callbacks", task.callbacks.offset),
        ("TaskObj", "task_coro", task.coroutine.offset),
        ("TaskObj", "task_name", task.name.offset),
    ];
    claims.extend(task.state.map(|field| ("FutureObj", "fut_state", field.offset)));
    claims.extend(task.state.map(|field| ("TaskObj", "task_state", field.offset)));
    claims.extend(task.waiter.map(|field| ("TaskObj", "task_fut_waiter", field.offset)));
    claims
}

/// The file of `_asyncio`; `None` where it is a part of the interpreter.
fn asyncio(interpreter: &Interpreter) -> Option<PathBuf> {
    let find = "import _asyncio; print(getattr(_asyncio, '__file__', ''))";
    let output = interpreter.command().args(["-c", find]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Some(interpreter.outside(Path::new(text.trim()))).filter(|file| file.is_file())
}

/// Whether GDB knew the file's structures.
fn check(interpreter: &Interpreter, file: &Path, claims: &[Claim]) -> bool {
    let question = |(structure, member, _): &Claim| {
        format!("printf \"{member} %lu\\n\", (unsigned long)&((({structure} *)0)->{member})")
    };
    let questions: Vec<String> = claims.iter().map(question).collect();
    let expected: Vec<String> =
        claims.iter().map(|(_, member, offset)| format!("{member} {offset}")).collect();
    match ask_gdb(interpreter, file, &questions) {
        None => eprintln!("skipped: gdb is not installed"),
        Some(answers) if answers.is_empty() => {
            eprintln!("skipped: {} carries no debug information", file.display());
        }
        Some(answers) => {
            assert_eq!(answers, expected, "{}", file.display());
            return true;
        }
    }
    false
}

#[test]
fn tables_of_values_agree_with_debug_information() {
    let mut checked = 0;
    let is_meant = |found: &Interpreter| !found.uses_jit && !found.is_free_threaded;
    for interpreter in interpreters().into_iter().filter(is_meant) {
        let Some(layout) = layout_of(interpreter.minor()) else { continue };
        let claims = claims(interpreter.minor(), &layout);
        checked += u32::from(check(&interpreter, &binary(&interpreter), &claims));
        if let (Some(task), Some(module)) = (layout.task, asyncio(&interpreter)) {
            check(&interpreter, &module, &task_claims(&task));
        }
    }
    println!("{checked} interpreters were compared");
}
