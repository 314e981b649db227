//! Entries of the procedure linkage table: their rules are an expression over the instruction.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::Path;
use std::process::Command;

use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_unwind::Provider;
use minidump::MinidumpRawContext;
use minidump::format::CONTEXT_AMD64;
use minidump_unwind::FrameTrust;
use support::{Target, elf_module, walk};

const BASE: u64 = 0x10_0000_0000;
const STACK: u64 = 0x7000_0000;
const ENTRY_BYTES: u64 = 16;

/// Offsets in an entry, and the words that it has pushed by then: `jmp *got`, `push index`,
/// `jmp plt0`.
const PLACES: [(u64, usize); 3] = [(0, 0), (6, 0), (11, 1)];

#[test]
fn caller_is_found_from_every_instruction_of_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("liba.so");
    let source = dir.path().join("a.c");
    std::fs::write(&source, "int other(int);\nint code(int a) { return other(a) + 1; }\n").unwrap();
    let mut command = Command::new("cc");
    command.args(["-O2", "-shared", "-fPIC", "-fcf-protection=none", "-Wl,-z,lazy"]);
    command.args(["-Wl,--build-id=sha1", "-o"]).arg(&library).arg(&source);
    assert!(command.status().unwrap().success());
    let code = address(&library, "nm", " code");
    let entry = address(&library, "readelf", " .plt ") + ENTRY_BYTES;
    for (offset, pushed) in PLACES {
        let frames = frames(&library, entry + offset, pushed, code + 9);
        assert_eq!(frames[1].0, FrameTrust::CallFrameInfo, "{offset}");
        assert_eq!(frames[1].1, BASE + code + 8, "{offset}");
        assert_eq!(
            frames[1].2,
            STACK + 8 * (pushed as u64 + 1),
            "{offset}: the caller's stack pointer"
        );
    }
}

/// Trust, instruction and stack pointer of each frame of a stack that was interrupted at `at`.
fn frames(library: &Path, at: u64, pushed: usize, caller: u64) -> Vec<(FrameTrust, u64, u64)> {
    let symbols = ModuleSymbols::open(library);
    let id = symbols.elf().unwrap().code().unwrap().build_id().unwrap().to_vec();
    let mut words = vec![0x1111_u64; pushed];
    words.push(BASE + caller);
    words.extend([0; 64]);
    let context = CONTEXT_AMD64 { rip: BASE + at, rsp: STACK, ..CONTEXT_AMD64::default() };
    let target = Target {
        context: MinidumpRawContext::Amd64(context),
        stack_start: STACK,
        stack: words.into_iter().flat_map(u64::to_le_bytes).collect(),
        modules: vec![elf_module(BASE, 0x1_0000, library.to_str().unwrap(), &id)],
    };
    let sources = Sources { local_modules: true, ..Sources::default() };
    let stack = walk(&target, &Provider::new(sources));
    let frame = |frame: &minidump_unwind::StackFrame| {
        (frame.trust, frame.instruction, frame.context.get_stack_pointer())
    };
    stack.frames.iter().map(frame).collect()
}

/// The address in the line of a tool's output that holds `mark`.
fn address(library: &Path, tool: &str, mark: &str) -> u64 {
    let arguments: &[&str] = if tool == "nm" { &[] } else { &["-SW"] };
    let output = Command::new(tool).args(arguments).arg(library).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains(mark)).unwrap();
    let word = line.split_whitespace().find(|word| word.len() == 16).unwrap();
    u64::from_str_radix(word, 16).unwrap()
}
