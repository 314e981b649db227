//! A small process of the tests' own: an interpreter, an extension module and libc, with
//! symbols and call frame information.
#![allow(dead_code)] // every test file uses a part
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use lastwords_analyze::{Options, analyze_bytes};
use lastwords_synth::{
    Dump, Function, Module, PythonFrame, PythonProcess, PythonThread, Stack, symbol_file,
};
use serde_json::Value;

pub const PYTHON: u64 = 0x7f00_0000_0000;
pub const HEAT: u64 = 0x7f00_1000_0000;
pub const LIBC: u64 = 0x7f00_2000_0000;
pub const STACK: u64 = 0x7ffe_0000_1000;

/// Address behind a call in each function, and the size of its stack frame.
pub const EVAL: (u64, u64) = (PYTHON + 0x1010, 320);
pub const VECTORCALL: (u64, u64) = (PYTHON + 0x3010, 32);
pub const THREAD_RUN: (u64, u64) = (PYTHON + 0x4010, 48);
pub const CFUNCTION: (u64, u64) = (PYTHON + 0x5010, 64);
/// The interpreter's, without call frame information.
pub const UNKNOWN: (u64, u64) = (PYTHON + 0x6010, 4096);
pub const STEP: (u64, u64) = (HEAT + 0x1010, 64);
pub const GLUE: (u64, u64) = (HEAT + 0x2010, 48);
/// Named like the interpreter's plumbing, in another module.
pub const LOOKALIKE: (u64, u64) = (HEAT + 0x3010, 32);
pub const START_THREAD: (u64, u64) = (LIBC + 0x1010, 32);

/// Where an evaluation frame has its anchor, counted from its stack pointer.
pub const ANCHOR_IN_EVAL: u64 = 0x40;

pub fn modules() -> [Module; 3] {
    [
        Module::new("/usr/lib/libpython3.11.so.1.0", PYTHON, 0x10_0000),
        Module::new("/app/_heat.so", HEAT, 0x1_0000),
        Module::new("/usr/lib/libc.so.6", LIBC, 0x1_0000),
    ]
}

fn function(name: &'static str, (address, frame_size): (u64, u64), base: u64) -> Function {
    Function { rva: address - 0x10 - base, size: 0x800, name, frame_size: Some(frame_size) }
}

/// Writes the symbols of [`modules`] into `folder`.
pub fn write_symbols(folder: &Path) {
    let python = vec![
        function("_PyEval_EvalFrameDefault", EVAL, PYTHON),
        function("_PyFunction_Vectorcall", VECTORCALL, PYTHON),
        function("thread_run", THREAD_RUN, PYTHON),
        function("cfunction_call", CFUNCTION, PYTHON),
        Function { frame_size: None, ..function("no_cfi", UNKNOWN, PYTHON) },
    ];
    let heat = vec![
        function("heat::step(int)", STEP, HEAT),
        function("heat_glue", GLUE, HEAT),
        function("cfunction_of_heat", LOOKALIKE, HEAT),
    ];
    let libc = vec![function("start_thread", START_THREAD, LIBC)];
    for (module, functions) in modules().iter().zip([python, heat, libc]) {
        let leaf = module.leaf();
        let place = folder.join(leaf).join(module.breakpad_id());
        std::fs::create_dir_all(&place).unwrap();
        let text = symbol_file(module, &functions);
        std::fs::write(place.join(format!("{leaf}.sym")), text).unwrap();
    }
}

pub fn stack(frames: &[(u64, u64)]) -> Stack {
    stack_at(STACK, frames)
}

pub fn stack_at(base: u64, frames: &[(u64, u64)]) -> Stack {
    frames.iter().fold(Stack::new(base), |stack, (ip, size)| stack.frame(*ip, *size))
}

pub fn frame(name: &'static str, anchor: u64) -> PythonFrame {
    PythonFrame { name, line: 7, anchor }
}

pub fn on_thread(native_thread_id: u64, frames: Vec<PythonFrame>) -> PythonThread {
    PythonThread { tstate: 0x5000, native_thread_id, frames, ..PythonThread::default() }
}

pub fn process(threads: Vec<PythonThread>) -> PythonProcess {
    PythonProcess { version: 0x030B_07F0, runtime_address: PYTHON + 0x8_0000, threads }
}

/// A dump with [`modules`] and nothing else.
pub fn dump() -> Dump {
    modules().into_iter().fold(Dump::new(), Dump::module)
}

/// Analyses with the symbols of [`write_symbols`].
pub fn analyze(dump: &Dump) -> Value {
    analyze_with(dump.build(), |_| {})
}

pub fn analyze_with(bytes: Vec<u8>, change: impl FnOnce(&mut Options)) -> Value {
    let folder = tempfile::tempdir().unwrap();
    write_symbols(folder.path());
    let mut options = Options {
        symbols: vec![folder.path().to_owned()],
        local_modules: false,
        ..Options::default()
    };
    change(&mut options);
    analyze_bytes(Path::new("test.dmp"), bytes, &options).unwrap()
}

/// The frames of thread `index` in short: `py:run`, `step`, `?` for a gap before the frame,
/// `!` for an unplaced one.
pub fn frames_of(document: &Value, index: usize) -> Vec<String> {
    let frames = document["threads"][index]["frames"].as_array().unwrap();
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["frame"], number, "frames count the merged list");
    }
    frames.iter().map(short).collect()
}

fn short(frame: &Value) -> String {
    let gap = if frame["unknown_frames"].is_object() { "?" } else { "" };
    let name = frame["function"].as_str().or(frame["offset"].as_str()).unwrap_or("-");
    if frame["kind"] == "native" {
        return format!("{gap}{name}");
    }
    let mark = if frame["python"]["placement"] == "unplaced" { "!" } else { "" };
    format!("{gap}{mark}py:{name}")
}
