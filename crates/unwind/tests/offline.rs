//! Recorded stacks of libunwindstack's tests: registers, memory and files, with the expected
//! address of every frame.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;
#[path = "../../symbols/tests/support/mod.rs"]
mod symbols_support;

use std::path::Path;
use std::process::Command;

use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_unwind::Provider;
use minidump::format::{CONTEXT_AMD64, CONTEXT_ARM64, CONTEXT_X86};
use minidump::{CpuContext, MinidumpModule, MinidumpRawContext};
use minidump_unwind::StackFrame;
use support::{Target, elf_module, walk};

/// How many frames must be right. libunwindstack goes on above a call of address 0 in
/// `signal_fde_*`, minidump-unwind does not.
const CASES: [(&str, &str, usize); 6] = [
    ("signal_fde_x86_64", "stack0.data", 5),
    ("signal_fde_x86", "stack0.data", 5),
    ("eh_frame_hdr_begin_x86_64", "stack.data", 5),
    ("debug_frame_first_x86", "stack.data", 5),
    ("empty_arm64", "stack.data", 7),
    ("straddle_arm64", "stack.data", 6),
];

/// Frames of all cases that must have a name; most names are in `.gnu_debugdata`.
const NAMED: usize = 29;

#[test]
fn recorded_stacks_come_out_frame_by_frame() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/cinit+libunwindstack/libunwindstack/offline_files");
    let mut named = 0;
    for (case, stack, frames) in CASES {
        let (ours, expected) = replay(&folder.join(case), stack);
        assert!(ours.len() >= frames && expected.len() >= frames, "{case}: {ours:x?}");
        for (ours, expected) in ours.iter().zip(&expected).take(frames) {
            assert_eq!(ours.rva, expected.rva, "{case}");
            let is_trampoline =
                expected.function.as_deref().is_some_and(|f| f.contains("__restore"));
            if let (Some(ours), Some(expected), false) =
                (&ours.function, &expected.function, is_trampoline)
            {
                assert_eq!(ours, expected, "{case}");
                named += 1;
            }
        }
    }
    assert!(named >= NAMED, "{named}");
}

/// A frame: its address relative to its module, and `function+offset` where known.
#[derive(Debug)]
struct Place {
    rva: u64,
    function: Option<String>,
}

/// Our frames, and the recorded ones.
fn replay(folder: &Path, stack: &str) -> (Vec<Place>, Vec<Place>) {
    let files = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(folder.join(stack)).unwrap();
    let (start, stack) = bytes.split_at(8);
    let target = Target {
        context: context(folder),
        stack_start: u64::from_le_bytes(start.try_into().unwrap()),
        stack: stack.to_vec(),
        modules: modules(folder, files.path()),
    };
    let sources = Sources { symbols: vec![files.path().to_owned()], ..Sources::default() };
    let frames = walk(&target, &Provider::new(sources)).frames;
    let place = |frame: &StackFrame| {
        let base = frame.module.as_ref().map_or(0, |module| module.raw.base_of_image);
        let function = frame.function_name.as_ref().map(|name| {
            match frame.instruction.wrapping_sub(frame.function_base.unwrap()) {
                0 => name.clone(),
                offset => format!("{name}+{offset}"),
            }
        });
        Place { rva: frame.instruction - base, function }
    };
    (frames.iter().map(place).collect(), recorded(folder))
}

fn recorded(folder: &Path) -> Vec<Place> {
    let text = std::fs::read_to_string(folder.join("output.txt")).unwrap();
    let place = |line: &str| {
        let hex = line.split_whitespace().nth(2).unwrap();
        let function = line.split_once(" (").map(|(_, rest)| rest.trim_end_matches(')').to_owned());
        // minidump-unwind steps back from the first byte of a signal trampoline as well.
        let step = u64::from(line.contains("(__restore"));
        Place { rva: u64::from_str_radix(hex, 16).unwrap() - step, function }
    };
    text.lines().filter(|line| line.contains(" pc ")).map(place).collect()
}

fn context(folder: &Path) -> MinidumpRawContext {
    let text = std::fs::read_to_string(folder.join("regs.txt")).unwrap();
    let registers: Vec<_> = text
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name, u64::from_str_radix(value, 16).unwrap()))
        .collect();
    let has = |name: &str| registers.iter().any(|(other, _)| *other == name);
    if has("lr") {
        MinidumpRawContext::Arm64(fill(CONTEXT_ARM64::default(), &registers, |value| value))
    } else if has("rip") {
        MinidumpRawContext::Amd64(fill(CONTEXT_AMD64::default(), &registers, |value| value))
    } else {
        let narrow = |value| u32::try_from(value).unwrap();
        MinidumpRawContext::X86(fill(CONTEXT_X86::default(), &registers, narrow))
    }
}

fn fill<C: CpuContext>(
    mut context: C,
    registers: &[(&str, u64)],
    narrow: impl Fn(u64) -> C::Register,
) -> C {
    for (name, value) in registers {
        // Recordings hold flags and segments as well.
        let _ = context.set_register(name, narrow(*value));
    }
    context
}

/// Unpacks the files and places them where the recording had them.
fn modules(folder: &Path, files: &Path) -> Vec<MinidumpModule> {
    let maps = std::fs::read_to_string(folder.join("maps.txt")).unwrap();
    let mut ranges: Vec<(String, u64, u64)> = Vec::new();
    for line in maps.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [range, _, _, _, _, name] = words[..] else { continue };
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        match ranges.iter_mut().find(|(other, ..)| other == name) {
            Some((_, _, last)) => *last = end,
            None => ranges.push((name.to_owned(), start, end)),
        }
    }
    let module = |(name, start, end): (String, u64, u64)| {
        let packed = folder.join(format!("{name}.gz"));
        let path = files.join(&name);
        let unpacked = Command::new("gunzip").arg("-c").arg(&packed).output().unwrap().stdout;
        std::fs::write(&path, unpacked).unwrap();
        let size_bytes = end - start;
        match build_id(&path) {
            Some(id) => elf_module(start, size_bytes, &name, &id),
            None => MinidumpModule::new(start, u32::try_from(size_bytes).unwrap(), &name),
        }
    };
    ranges.into_iter().map(module).collect()
}

/// `None` for files that are only place-holders.
fn build_id(path: &Path) -> Option<Vec<u8>> {
    if ModuleSymbols::open(path).elf()?.code()?.build_id().is_none() {
        add_build_id(path);
    }
    let symbols = ModuleSymbols::open(path);
    Some(symbols.elf()?.code()?.build_id()?.to_vec())
}

/// Some recorded files have no build id, and their code was overwritten by zeros.
fn add_build_id(path: &Path) {
    let note = path.with_extension("note");
    let mut bytes = Vec::new();
    for word in [4u32, 8, 3] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"GNU\0recorded");
    std::fs::write(&note, bytes).unwrap();
    let section = format!(".note.gnu.build-id={}", note.display());
    let status = Command::new("objcopy").args(["--add-section", &section]).arg(path).status();
    assert!(status.unwrap().success());
}
