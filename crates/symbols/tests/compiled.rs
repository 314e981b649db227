//! Freshly compiled C++ against llvm-symbolizer, for every instruction.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use std::path::Path;
use std::process::Command;

use lastwords_symbols::{ModuleSymbols, Symbolication};

/// Inlining over several levels, templates, a function in two parts (hot and cold), a function
/// with internal linkage, C linkage, and a lambda.
const SOURCE: &str = r#"
#include <cstdlib>
#include <cstdio>
#include <vector>
#include <algorithm>

namespace {
template <typename T> inline T square(T value) { return value * value; }
template <typename T> inline T sum(const std::vector<T>& values) {
    T total{};
    for (const T& value : values) {
        total += square(value);
    }
    return total;
}
__attribute__((noinline)) int hidden(std::vector<int>& values) {
    std::sort(values.begin(), values.end(), [](int a, int b) { return square(a) < square(b); });
    return sum(values);
}
}

extern "C" int plain(int count) {
    std::vector<int> values;
    for (int i = 0; i < count; i++) {
        values.push_back(i ^ count);
    }
    if (__builtin_expect(count > 1000, 0)) {
        std::fprintf(stderr, "too many: %d\n", count);
        std::abort();
    }
    return hidden(values);
}

int main(int argc, char**) { return plain(argc); }
"#;

#[test]
fn dwarf_4_and_5_equal_llvm_symbolizer_at_every_instruction() {
    for flags in [&["-gdwarf-4"][..], &["-gdwarf-5"], &["-gdwarf-5", "-gz=zlib"]] {
        let dir = tempfile::tempdir().unwrap();
        let program = compile(dir.path(), flags);
        compare(&program, 200);
    }
}

/// Not every symbolizer reads `.dwo` files: the same code with its DWARF in one piece is the
/// reference.
#[test]
fn split_dwarf_equals_dwarf_in_one_piece() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        split_equals_whole(version);
    }
}

fn split_equals_whole(version: &str) {
    let (split, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let split = compile(split.path(), &[version, "-gsplit-dwarf"]);
    let whole = compile(whole.path(), &[version]);
    let addresses = instructions(&split);
    assert_eq!(addresses, instructions(&whole));
    let (split, whole) = (ModuleSymbols::open(&split), ModuleSymbols::open(&whole));
    let mut lines = 0;
    for address in addresses {
        let (split, whole) = (split.lookup(address), whole.lookup(address));
        assert_eq!(describe(&split), describe(&whole), "{address:#x}");
        assert_eq!(split.function_rva, whole.function_rva, "{address:#x}");
        lines += usize::from(split.frames.first().is_some_and(|frame| frame.line.is_some()));
    }
    assert!(lines > 200, "{lines}");
}

fn compile(folder: &Path, flags: &[&str]) -> std::path::PathBuf {
    std::fs::write(folder.join("source.cpp"), SOURCE).unwrap();
    let mut command = Command::new("c++");
    command.args(["-O2", "-Wl,--build-id", "-o", "program", "source.cpp"]).args(flags);
    assert!(command.current_dir(folder).status().unwrap().success(), "{command:?}");
    folder.join("program")
}

fn compare(program: &Path, at_least: usize) {
    let addresses = instructions(program);
    assert!(addresses.len() >= at_least, "{}", addresses.len());
    let Some(expected) = symbolizer(program, &addresses) else { return };
    let symbols = ModuleSymbols::open(program);
    let base = symbols.elf().unwrap().code().unwrap().image_base();
    let mut inline_frames = 0;
    for (address, theirs) in addresses.iter().zip(&expected) {
        let ours = symbols.lookup(address - base);
        // Padding between functions.
        if ours.frames.is_empty() && theirs == &["?? ??:0"] {
            continue;
        }
        inline_frames += ours.frames.iter().filter(|frame| frame.is_inline).count();
        assert_eq!(&describe(&ours), theirs, "{} {address:#x}", program.display());
    }
    assert!(inline_frames > addresses.len() / 2, "{inline_frames}");
}

/// Addresses of the instructions of functions that were compiled here.
fn instructions(program: &Path) -> Vec<u64> {
    let output = Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(program).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut is_ours = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.ends_with(">:") {
            let ours = ["main>", "plain", "hidden", "_ZSt", "_ZNSt"];
            is_ours = ours.iter().any(|name| line.contains(name)) && !line.contains("@plt");
        } else if let Some((address, _)) = line.split_once(":\t").filter(|_| is_ours) {
            found.push(u64::from_str_radix(address.trim(), 16).unwrap());
        }
    }
    found
}

/// Frames per address as `function file:line`, innermost first. `None` without the program.
///
/// Not GNU addr2line: its 2.40 gives wrong files for DWARF 5 and wrong names for inlined
/// operators.
fn symbolizer(program: &Path, addresses: &[u64]) -> Option<Vec<Vec<String>>> {
    let names = ["llvm-symbolizer", "llvm-symbolizer-19", "llvm-symbolizer-14"];
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let Some(name) = names.into_iter().find(is_there) else {
        eprintln!("skipped: no llvm-symbolizer on this machine");
        return None;
    };
    let list: Vec<String> = addresses.iter().map(|address| format!("{address:#x}")).collect();
    let mut command = Command::new(name);
    command.args(["--addresses", "--inlines", "--output-style=GNU", "-e"]).arg(program).args(&list);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut lines = text.lines().filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            found.push(Vec::new());
        } else {
            let place = lines.next().unwrap().split(" (discriminator").next().unwrap();
            found.last_mut().unwrap().push(frame(line, place));
        }
    }
    Some(found)
}

fn describe(found: &Symbolication) -> Vec<String> {
    let describe = |frame: &lastwords_symbols::SourceFrame| {
        let file = frame.file.as_deref().unwrap_or("?");
        let line = frame.line.map_or("0".to_owned(), |line| line.to_string());
        frame_text(frame.function.as_deref().unwrap_or("??"), file, &line)
    };
    found.frames.iter().map(describe).collect()
}

fn frame(function: &str, place: &str) -> String {
    let (file, line) = place.rsplit_once(':').unwrap();
    frame_text(function, file, line)
}

/// Names up to their parameters (the demanglers spell them in their own ways), files without
/// folders.
fn frame_text(function: &str, file: &str, line: &str) -> String {
    let function = function.replace("(anonymous namespace)", "{anonymous}").replace(".cold", "");
    let end = function.find(['(', '<', '[']).filter(|at| *at > 0).unwrap_or(function.len());
    let name = function[..end].rsplit([' ', ':']).next().unwrap();
    let file = file.rsplit('/').next().unwrap();
    format!("{name} {file}:{line}")
}
