//! Recorded stacks of libunwindstack's tests: registers, memory and files, with the expected
//! address and function of every frame.
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
use minidump::format::{CONTEXT_AMD64, CONTEXT_ARM, CONTEXT_ARM64, CONTEXT_X86};
use minidump::system_info::Os;
use minidump::{CpuContext, MinidumpModule, MinidumpRawContext};
use minidump_unwind::StackFrame;
use support::{Target, elf_module, walk_on};

/// The recording steps back from what a signal interrupted as if it were a call. The instruction that
/// the kernel saved is 4 behind.
const STEPPED_BACK: (&str, usize) = ("signal_load_bias_arm", 5);
const STEP: u64 = 4;

#[test]
fn recorded_stacks_come_out_frame_by_frame() {
    let Some(corpus) = symbols_support::corpus() else { return };
    let folder = corpus.join("files/cinit+libunwindstack/libunwindstack/offline_files");
    let mut cases: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let (mut frames, mut named) = (0, 0);
    for case in &cases {
        let (ours, expected) = replay(case);
        let name = case.file_name().unwrap().display();
        for (index, expected) in expected.iter().enumerate() {
            let ours = ours.get(index).unwrap_or_else(|| panic!("{name} #{index}: {ours:#x?}"));
            frames += 1;
            if (name.to_string().as_str(), index) == STEPPED_BACK {
                assert_eq!(ours.rva, expected.rva + STEP, "{name} #{index}");
                continue;
            }
            assert_eq!(ours.rva, expected.rva, "{name} #{index}");
            if expected.function.is_some() {
                assert_eq!(ours.function, expected.function, "{name} #{index}");
                named += 1;
            }
        }
    }
    println!("{} stacks, {frames} frames, {named} of them named", cases.len());
    assert!(cases.len() >= 10 && frames >= 120 && named >= 110, "{frames} {named}");
}

/// A frame: its address relative to its module, and `function+offset` where known.
#[derive(Debug)]
struct Place {
    rva: u64,
    function: Option<String>,
}

/// Our frames, and the recorded ones.
fn replay(folder: &Path) -> (Vec<Place>, Vec<Place>) {
    let files = tempfile::tempdir().unwrap();
    let mut stacks = stacks(folder);
    let (stack_start, stack) = stacks.remove(0);
    let target = Target {
        context: context(folder),
        stack_start,
        stack,
        modules: modules(folder, files.path()),
    };
    let sources = Sources { symbols: vec![files.path().to_owned()], ..Sources::default() };
    let frames = walk_on(&target, &stacks, Os::Android, &Provider::new(sources)).frames;
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

/// Start and bytes of each recorded stack: the thread's, and a signal handler's own.
fn stacks(folder: &Path) -> Vec<(u64, Vec<u8>)> {
    let names = ["stack.data", "stack0.data", "stack1.data"];
    let read = |name: &&str| std::fs::read(folder.join(name)).ok();
    let split = |bytes: Vec<u8>| {
        let (start, stack) = bytes.split_at(8);
        (u64::from_le_bytes(start.try_into().unwrap()), stack.to_vec())
    };
    names.iter().filter_map(read).map(split).collect()
}

fn recorded(folder: &Path) -> Vec<Place> {
    let text = std::fs::read_to_string(folder.join("output.txt")).unwrap();
    // Thumb code is recorded with bit 0.
    let mask = if is_arm(folder) { !1 } else { !0 };
    let place = |line: &str| {
        let hex = line.split_whitespace().nth(2).unwrap();
        let function = function(line).map(|text| text.trim_end_matches(')').to_owned());
        Place { rva: u64::from_str_radix(hex, 16).unwrap() & mask, function }
    };
    text.lines().filter(|line| line.contains(" pc ")).map(place).collect()
}

/// `file (function+1)`; of an ELF file inside of another file `file (offset 0xa000) (function+1)`.
fn function(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" (")?;
    if rest.starts_with("offset ") { Some(rest.split_once(") (")?.1) } else { Some(rest) }
}

fn registers(folder: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(folder.join("regs.txt")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    let parse = |value: &str| u64::from_str_radix(value.trim(), 16).unwrap();
    pairs.map(|(name, value)| (name.to_owned(), parse(value))).collect()
}

/// 32-bit ARM: a link register, and no wide value.
fn is_arm(folder: &Path) -> bool {
    let registers = registers(folder);
    let has_link = registers.iter().any(|(name, _)| name == "lr");
    has_link && registers.iter().all(|(_, value)| u32::try_from(*value).is_ok())
}

fn context(folder: &Path) -> MinidumpRawContext {
    let registers = registers(folder);
    let has = |name: &str| registers.iter().any(|(other, _)| other == name);
    let narrow = |value| u32::try_from(value).unwrap();
    if is_arm(folder) {
        MinidumpRawContext::Arm(fill(CONTEXT_ARM::default(), &registers, narrow))
    } else if has("lr") {
        MinidumpRawContext::Arm64(fill(CONTEXT_ARM64::default(), &registers, |value| value))
    } else if has("rip") {
        MinidumpRawContext::Amd64(fill(CONTEXT_AMD64::default(), &registers, |value| value))
    } else {
        MinidumpRawContext::X86(fill(CONTEXT_X86::default(), &registers, narrow))
    }
}

fn fill<C: CpuContext>(
    mut context: C,
    registers: &[(String, u64)],
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
    // Name, start, end, and where in the file the first part of it lies.
    let mut ranges: Vec<(String, u64, u64, usize)> = Vec::new();
    for line in maps.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [range, _, offset, _, _, name] = words[..] else { continue };
        let offset = usize::from_str_radix(offset, 16).unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        match ranges.iter_mut().find(|(other, ..)| other == name) {
            Some((_, _, last, _)) => *last = end,
            None => ranges.push((name.to_owned(), start, end, offset)),
        }
    }
    let module = |(name, start, end, offset): (String, u64, u64, usize)| {
        let size_bytes = end - start;
        let packed = folder.join(format!("{name}.gz"));
        if name.contains('/') || !packed.is_file() {
            return MinidumpModule::new(start, u32::try_from(size_bytes).unwrap(), &name);
        }
        let path = files.join(&name);
        let unpacked = Command::new("gunzip").arg("-c").arg(&packed).output().unwrap().stdout;
        // A library in an APK is an ELF file inside of another.
        let inner = unpacked.get(offset..).filter(|inner| inner.starts_with(b"\x7fELF"));
        std::fs::write(&path, inner.unwrap_or(&unpacked)).unwrap();
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
