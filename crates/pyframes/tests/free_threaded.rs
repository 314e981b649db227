//! CPython 3.14 without a GIL, which nobody ships for this machine: its memory is built by hand,
//! from the headers of 3.14.10, and knows nothing of the reader's tables.
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/image.rs"]
mod image;

use image::Image;
use lastwords_format::streams::python::FrameOwner;
use lastwords_pyframes::{Limits, Outcome, Target, read_python};

const RUNTIME: u64 = 0x10_0000;
const INTERPRETER: u64 = 0x20_0000;
/// `PyInterpreterState._gil`.
const GIL: u64 = INTERPRETER + 7808;
const THREAD: u64 = 0x30_0000;
const TYPES: u64 = 0x40_0000;
const FRAMES: u64 = 0x60_0000;
const LEAF: u64 = FRAMES;
const CALLER: u64 = FRAMES + 0x100;
const SHIM: u64 = 0x7000_0000;
const VERSION: u32 = 0x030E_0AF0;

/// `_Py_DebugOffsets`: member's index, value.
const OFFSETS: [(u64, u64); 55] = [
    (0, u64::from_le_bytes(*b"xdebugpy")),
    (1, VERSION as u64),
    (2, 1),
    // runtime_state: size, finalizing, interpreters_head
    (3, 365_624),
    (4, 784),
    (5, 808),
    // interpreter_state: size, id, next, threads_head, …, gc, …, sysdict, …, ceval_gil, the GIL's
    (6, 249_976),
    (7, 7280),
    (8, 7272),
    (9, 7344),
    (11, 7408),
    (13, 7696),
    (15, 16),
    (16, 7808),
    (17, 0),
    (18, 7808 + 24),
    (19, 7808 + 16),
    // thread_state: size, …, next, interp, current_frame, thread_id, native_thread_id
    (22, 832),
    (24, 8),
    (25, 16),
    (26, 72),
    (27, 152),
    (28, 160),
    // interpreter_frame: size, previous, executable, instr_ptr, …, owner, …, tlbc_index
    (31, 88),
    (32, 8),
    (33, 0),
    (34, 56),
    (36, 78),
    (38, 72),
    // code_object: size, filename, name, qualname, linetable, firstlineno, …, adaptive, co_tlbc
    (39, 240),
    (40, 128),
    (41, 136),
    (42, 144),
    (43, 152),
    (44, 84),
    (48, 232),
    (49, 224),
    // pyobject: size, ob_type
    (50, 32),
    (51, 24),
    // type_object: size, tp_name, …, tp_flags
    (52, 432),
    (53, 40),
    (55, 184),
    // bytes_object: size, ob_size, ob_sval
    (74, 56),
    (75, 32),
    (76, 48),
    // unicode_object: size, state, length, asciiobject_size
    (77, 80),
    (78, 48),
    (79, 32),
    (80, 56),
    // gc: size, collecting
    (81, 288),
    (82, 192),
    // gen_object, llist_node, debugger_support: size, …, a last one
    (83, 240),
    (87, 0),
    (89, 24),
    (94, 512),
];

/// An object of 32 bytes of header, then `body`.
fn object(image: &mut Image, type_index: u64, body: &[u8]) -> u64 {
    let mut bytes = vec![0; 32];
    bytes[24..32].copy_from_slice(&(TYPES + 0x400 * type_index).to_le_bytes());
    bytes.extend(body);
    image.object(&bytes)
}

fn text(image: &mut Image, text: &str) -> u64 {
    let mut body = (text.len() as u64).to_le_bytes().to_vec();
    body.extend([0; 8]); // hash
    body.extend((0x80_u64 | 1 << 6 | 1 << 5 | 1 << 2).to_le_bytes());
    body.extend(text.bytes());
    object(image, 0, &body)
}

/// A code object of four code units on line 11 and four on line 12, with three copies of its
/// bytecode: its own, none for the second thread, one for the third.
fn code(image: &mut Image, name: &str) -> u64 {
    let table = [0x80 | 13 << 3 | 3, 2, 0x80 | 13 << 3 | 3, 2];
    let mut body = (table.len() as u64).to_le_bytes().to_vec();
    body.extend([0; 8]); // hash
    body.extend(table);
    let table = object(image, 1, &body);
    let (name, file) = (text(image, name), text(image, "model.py"));
    let code = object(image, 2, &[0; 200 + 16]);
    let copy = image.object(&[0; 16]);
    let copies = [3, code + 232, 0, copy].map(u64::to_le_bytes).concat();
    let copies = image.object(&copies);
    image.put(code + 32, 8).put_bytes(code + 84, &10_u32.to_le_bytes());
    image.put(code + 128, file).put(code + 136, name).put(code + 144, name);
    image.put(code + 152, table).put(code + 224, copies);
    code
}

/// A frame at code unit 5 of copy `index`, which begins at `bytecode`.
fn frame(image: &mut Image, at: u64, code: u64, previous: u64, index: i32, bytecode: u64) {
    image.map(at, 88);
    // The tag of a reference that owns no count.
    image.put(at, code | 1).put(at + 8, previous).put(at + 56, bytecode + 2 * 5);
    image.put_bytes(at + 72, &index.to_le_bytes());
}

/// Where the third thread's copy of the bytecode of `code` begins.
fn copy_of(image: &Image, code: u64) -> u64 {
    image.word(image.word(code + 224) + 24)
}

/// One thread, the third: `leaf`, called by `caller`, which a native activation runs.
fn process() -> Image {
    let mut image = Image::empty();
    image.map(RUNTIME, 832);
    for (index, value) in OFFSETS {
        image.put(RUNTIME + 8 * index, value);
    }
    image.put(RUNTIME + 784, 0).put(RUNTIME + 808, INTERPRETER);
    for (index, name) in (0..).zip(["str", "bytes", "code", "dict"]) {
        image.map(TYPES + 0x400 * index, 432);
        let name = image.object(&[name.as_bytes(), &[0]].concat());
        image.put(TYPES + 0x400 * index + 40, name);
    }
    image.map(INTERPRETER, 8192);
    image.put(INTERPRETER + 7344, THREAD).put(INTERPRETER + 16, GIL);
    image.put(GIL + 16, THREAD).put_bytes(GIL + 24, &[1]);
    sys_dict(&mut image);
    image.map(THREAD, 832);
    image.put(THREAD + 16, INTERPRETER).put(THREAD + 72, LEAF);
    image.put(THREAD + 152, 0x7f00_0000_1234).put(THREAD + 160, 4321);
    let (leaf, caller) = (code(&mut image, "leaf"), code(&mut image, "caller"));
    let copy = copy_of(&image, leaf);
    frame(&mut image, LEAF, leaf, CALLER, 2, copy);
    frame(&mut image, CALLER, caller, SHIM, 0, caller + 232);
    image.map(SHIM, 88);
    image.put_bytes(SHIM + 78, &[3]);
    image
}

/// `sys.abiflags`, which is "td".
fn sys_dict(image: &mut Image) {
    let entry = [text(image, "abiflags"), text(image, "td")];
    let mut keys = vec![0; 32 + 8];
    keys[8..11].copy_from_slice(&[3, 3, 1]);
    keys[24..32].copy_from_slice(&1_u64.to_le_bytes());
    keys.extend(entry.into_iter().flat_map(u64::to_le_bytes));
    let keys = image.object(&keys);
    let mut body = [0; 32];
    body[16..24].copy_from_slice(&keys.to_le_bytes());
    let dict = object(image, 3, &body);
    image.put(INTERPRETER + 7696, dict);
}

fn read(image: &Image) -> Outcome {
    let target = Target { runtime_address: RUNTIME, python_version: VERSION };
    read_python(image, &target, &Limits::default()).expect("readable")
}

/// Names, lines and anchors, newest first.
fn stack(outcome: &Outcome) -> Vec<(Option<&str>, Option<u32>, Option<u64>)> {
    let frames = outcome.stream.threads[0].frames.iter();
    frames.map(|frame| (frame.name.as_deref(), frame.line, frame.anchor)).collect()
}

#[test]
fn a_thread_is_where_its_own_copy_of_the_bytecode_says() {
    let outcome = read(&process());
    assert_eq!(outcome.soft_errors, []);
    let expected = [(Some("leaf"), Some(12), Some(SHIM)), (Some("caller"), Some(12), Some(SHIM))];
    assert_eq!(stack(&outcome), expected);
    assert!(outcome.stream.is_free_threaded && outcome.stream.is_debug_build);
    assert_eq!(outcome.stream.threads[0].frames[0].owner, FrameOwner::Thread);
    assert_eq!(outcome.stream.threads[0].native_thread_id, Some(4321));
}

#[test]
fn a_copy_that_is_not_there_gives_no_line() {
    for index in [1_i32, 3, -1, i32::MAX] {
        let mut image = process();
        image.put_bytes(LEAF + 72, &index.to_le_bytes());
        let outcome = read(&image);
        assert_eq!(stack(&outcome)[0], (Some("leaf"), None, Some(SHIM)), "{index}");
        assert_eq!(stack(&outcome)[1].1, Some(12));
        assert_eq!(outcome.soft_errors[0].code, "python_frame_partial");
    }
    let mut image = process();
    let code = image.word(LEAF) & !1;
    image.put(code + 224, 0);
    assert_eq!(stack(&read(&image))[0].1, None);
}

#[test]
fn a_number_where_the_code_should_be_is_no_address() {
    let mut image = process();
    let tagged = image.word(LEAF) | 3;
    image.put(LEAF, tagged);
    let outcome = read(&image);
    assert_eq!(stack(&outcome)[0], (None, None, Some(SHIM)));
    assert!(outcome.stream.threads[0].frames[0].is_partial);
    assert_eq!(outcome.stream.threads[0].frames[0].code, 0);
}

#[test]
fn both_kinds_of_shims_end_an_activation() {
    let mut image = process();
    image.put_bytes(SHIM + 78, &[4]);
    assert_eq!(stack(&read(&image)), stack(&read(&process())));
}

#[test]
fn there_is_a_gil_only_while_it_is_enabled() {
    let gil = |image: &Image| {
        let stream = read(image).stream;
        let thread = &stream.threads[0];
        (stream.gil_address, stream.gil_holder, thread.gil_address, thread.holds_gil)
    };
    let mut image = process();
    assert_eq!(gil(&image), (None, None, None, false));
    image.put_bytes(GIL, &i32::MAX.to_le_bytes());
    assert_eq!(gil(&image), (Some(GIL), Some(THREAD), Some(GIL), true));
}

#[test]
fn the_interpreter_that_collects_or_ends_is_told() {
    let mut image = process();
    let state = |image: &Image| {
        let thread = read(image).stream.threads.remove(0);
        (thread.is_collecting, thread.is_interpreter_finalizing)
    };
    assert_eq!(state(&image), (false, false));
    image.put_bytes(INTERPRETER + 7408 + 192, &[1]);
    assert_eq!(state(&image), (true, false));
    image.put(INTERPRETER + 7392, THREAD);
    assert_eq!(state(&image), (true, true));
}
