//! The tables, compared with the debug information of the interpreters of this machine.
#![allow(clippy::arithmetic_side_effects)]

use std::path::PathBuf;
use std::process::Command;

use super::{Chain, Field, Gil, Instruction, Layout, Owner, byte, v3_10, v3_11, v3_12, v3_13};
use crate::interpreters::{Interpreter, interpreters};

/// A field by its name in C, and where the table says it is.
type Claim = (&'static str, &'static str, Field);

fn claims(layout: &Layout) -> Vec<Claim> {
    let mut claims = vec![
        ("_PyRuntimeState", "interpreters.head", layout.runtime.interpreters_head),
        ("_PyRuntimeState", "_finalizing", layout.runtime.finalizing),
        ("PyInterpreterState", "next", layout.interpreter.next),
        ("PyInterpreterState", "id", layout.interpreter.id),
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
        ("PyCodeObject", "co_linetable", layout.code.line_table),
        ("PyCodeObject", "co_firstlineno", layout.code.first_line),
    ];
    let threads_head = if matches!(layout.chain, Chain::FrameObjects { .. }) {
        "tstate_head"
    } else {
        "threads.head"
    };
    claims.push(("PyInterpreterState", threads_head, layout.interpreter.threads_head));
    let exception =
        if layout.thread.is_exception_instance { "current_exception" } else { "curexc_type" };
    claims.push(("PyThreadState", exception, layout.thread.exception));
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
        Gil::Runtime { tstate_current } => {
            vec![("_PyRuntimeState", "gilstate.tstate_current", tstate_current)]
        }
        Gil::Interpreter { gil, last_holder, locked } => vec![
            ("PyInterpreterState", "ceval.gil", gil),
            ("struct _gil_runtime_state", "last_holder", last_holder),
            ("struct _gil_runtime_state", "locked", locked),
        ],
    }
}

fn chain_claims(chain: &Chain) -> Vec<Claim> {
    match *chain {
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
        (Instruction::Index(lasti), Owner::GeneratorPointer(generator)) => vec![
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

/// The file with the interpreter's code: its shared library, or the executable itself.
fn binary(interpreter: &Interpreter) -> PathBuf {
    let find = "import os, sys, sysconfig; get = sysconfig.get_config_var; \
                path = os.path.join(get('LIBDIR') or '', get('INSTSONAME') or ''); \
                print(path if os.path.isfile(path) and '.so' in path else os.path.realpath(sys.executable))";
    let output = Command::new(&interpreter.executable).args(["-c", find]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// What GDB answers, line by line; `None` when it is not installed.
fn ask_gdb(binary: &PathBuf, questions: &[String]) -> Option<Vec<String>> {
    let mut gdb = Command::new("gdb");
    gdb.args(["--nx", "--batch", "-iex", "set debuginfod enabled off"]);
    for question in questions {
        gdb.args(["-ex", question]);
    }
    let output = gdb.arg(binary).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn tables_agree_with_debug_information() {
    for interpreter in interpreters() {
        let layout = match interpreter.minor() {
            10 => v3_10::LAYOUT,
            11 => v3_11::LAYOUT,
            12 => v3_12::LAYOUT,
            _ => v3_13::LAYOUT,
        };
        let claims = claims(&layout);
        let question = |(structure, member, _): &Claim| {
            format!("printf \"{member} %lu\\n\", (unsigned long)&((({structure} *)0)->{member})")
        };
        let mut questions: Vec<String> = claims.iter().map(question).collect();
        let sizes = [
            ("PyASCIIObject", layout.unicode.ascii_data),
            ("PyCompactUnicodeObject", layout.unicode.compact_data),
        ];
        questions
            .extend(sizes.map(|(name, _)| format!("printf \"{name} %lu\\n\", sizeof({name})")));
        let expected: Vec<String> = claims
            .iter()
            .map(|(_, member, field)| format!("{member} {}", field.offset))
            .chain(sizes.map(|(name, size)| format!("{name} {size}")))
            .collect();
        let binary = binary(&interpreter);
        match ask_gdb(&binary, &questions) {
            None => eprintln!("skipped: gdb is not installed"),
            Some(answers) if answers.is_empty() => {
                eprintln!("skipped: {} carries no debug information", binary.display());
            }
            Some(answers) => assert_eq!(answers, expected, "{}", binary.display()),
        }
    }
}
