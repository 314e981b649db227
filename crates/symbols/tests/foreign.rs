//! Code freshly compiled for Windows and macOS, against llvm-symbolizer at every instruction.
//!
//! Needs Debian's `clang-19`, `lld-19` and `llvm-19`, or the same without the version; skipped
//! without them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::{Path, PathBuf};

use lastwords_symbols::{ModuleStatus, ModuleSymbols, SymbolKind};
use lastwords_synth::{llvm_tool, run_tool};
use serde_json::Value;
use support::frames::{Frame, is_equal, new_frame, our_frame};

/// Inlining over several levels, templates, a lambda, internal linkage, a class, C linkage. No
/// headers: there is no SDK.
const SOURCE: &str = r#"
namespace {
template <typename T> inline __attribute__((always_inline)) T square(T value) { return value * value; }
template <typename T> inline __attribute__((always_inline)) T sum(const T* values, int count) {
    T total = T();
    for (int i = 0; i < count; i++) {
        total += square(values[i]);
    }
    return total;
}
__attribute__((noinline)) int hidden(int* values, int count) {
    auto twice = [](int a) { return square(a) + a; };
    values[0] = twice(values[1]);
    return sum(values, count);
}
}

struct Shape {
    int area(int scale) const;
    int side;
};
__attribute__((noinline)) int Shape::area(int scale) const { return square(side) * scale; }

extern "C" __attribute__((noinline)) int plain(int count) {
    int values[16];
    for (int i = 0; i < 16; i++) {
        values[i] = i ^ count;
    }
    Shape shape;
    shape.side = values[3];
    return hidden(values, 16) + shape.area(count);
}

extern "C" int entry() { return plain(7); }
"#;

fn compile(folder: &Path, arguments: &[&str]) -> Option<()> {
    std::fs::write(folder.join("source.cpp"), SOURCE).unwrap();
    let flags = ["-O2", "-g", "-fno-exceptions", "-fno-rtti", "-c", "source.cpp"];
    run_tool(llvm_tool("clang++")?, folder, &[&flags[..], arguments].concat());
    Some(())
}

/// A program for Windows; its PDB lies beside it.
fn windows(folder: &Path, target: &str, debug: &str) -> Option<PathBuf> {
    compile(folder, &["-o", "a.obj", &format!("--target={target}-pc-windows-msvc"), debug])?;
    let entry = ["/nodefaultlib", "/entry:entry", "/debug", "/subsystem:console", "/safeseh:no"];
    let files = ["/out:a.exe", "/pdb:a.pdb", "a.obj"];
    run_tool(llvm_tool("lld-link")?, folder, &[&entry[..], &files].concat());
    Some(folder.join("a.exe"))
}

/// A library for macOS; its dSYM lies beside it.
fn macos(folder: &Path, architecture: &str) -> Option<PathBuf> {
    compile(folder, &["-o", "a.o", &format!("--target={architecture}-apple-macos12")])?;
    let system = ["-platform_version", "macos", "12.0", "12.0", "-undefined", "dynamic_lookup"];
    let files = ["-arch", architecture, "-dylib", "-o", "a.dylib", "a.o"];
    run_tool(llvm_tool("ld64.lld")?, folder, &[&system[..], &files].concat());
    run_tool(llvm_tool("dsymutil")?, folder, &["a.dylib"]);
    Some(folder.join("a.dylib"))
}

#[test]
fn pdb_lookups_equal_llvm_symbolizer_at_every_instruction() {
    for target in ["x86_64", "i686", "aarch64"] {
        let dir = tempfile::tempdir().unwrap();
        let Some(image) = windows(dir.path(), target, "-gcodeview") else { return };
        compare(&image, SymbolKind::Pdb);
    }
}

#[test]
fn dwarf_in_pe_lookups_equal_llvm_symbolizer_at_every_instruction() {
    for target in ["x86_64", "i686"] {
        let dir = tempfile::tempdir().unwrap();
        let Some(image) = windows(dir.path(), target, "-gdwarf") else { return };
        std::fs::remove_file(dir.path().join("a.pdb")).unwrap();
        compare(&image, SymbolKind::Dwarf);
    }
}

#[test]
fn dsym_lookups_equal_llvm_symbolizer_at_every_instruction() {
    for architecture in ["x86_64", "arm64"] {
        let dir = tempfile::tempdir().unwrap();
        let Some(image) = macos(dir.path(), architecture) else { return };
        compare(&image, SymbolKind::Dwarf);
    }
}

fn compare(image: &Path, kind: SymbolKind) {
    let Some(addresses) = instructions(image) else { return };
    let Some(expected) = symbolizer(image, &addresses) else { return };
    let symbols = ModuleSymbols::open(image);
    let status = symbols.status();
    assert!(matches!(&status, ModuleStatus::Loaded { kind: k, .. } if *k == kind), "{status:?}");
    let mut inline_frames = 0;
    for (address, theirs) in addresses.iter().zip(&expected) {
        let found = symbols.lookup(address - symbols.image_base());
        let ours: Vec<_> = found.frames.iter().map(our_frame).collect();
        let is_like = ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|(ours, theirs)| is_equal(ours, theirs));
        assert!(is_like, "{} {address:#x}\n{ours:?}\n{theirs:?}", image.display());
        inline_frames += found.frames.iter().filter(|frame| frame.is_inline).count();
    }
    println!("{kind:?}: {} instructions, {inline_frames} inline frames", addresses.len());
    assert!(addresses.len() > 50 && inline_frames >= 20, "{} {inline_frames}", addresses.len());
}

/// Addresses of all instructions but the padding between functions.
fn instructions(image: &Path) -> Option<Vec<u64>> {
    let folder = image.parent().unwrap();
    let listing = run_tool(
        llvm_tool("llvm-objdump")?,
        folder,
        &["-d", "--no-show-raw-insn", image.to_str().unwrap()],
    );
    let address = |line: &str| {
        let (address, code) = line.split_once(':')?;
        let padding = ["nop", "int3", "udf", "xchgw"];
        let is_padding = padding.iter().any(|name| code.contains(name));
        u64::from_str_radix(address.trim(), 16).ok().filter(|_| !is_padding && !code.contains('<'))
    };
    let branch = |line: &str| {
        let (address, code) = line.split_once(':')?;
        let is_branch = code.contains('<') && !line.ends_with(':');
        u64::from_str_radix(address.trim(), 16).ok().filter(|_| is_branch)
    };
    Some(listing.lines().filter_map(|line| address(line).or_else(|| branch(line))).collect())
}

fn symbolizer(image: &Path, addresses: &[u64]) -> Option<Vec<Vec<Frame>>> {
    let mut command = llvm_tool("llvm-symbolizer")?;
    command.args(["--output-style=JSON", "--inlines", "-e"]).arg(image);
    command.args(addresses.iter().map(|address| format!("{address:#x}")));
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let answers: Vec<Value> = match serde_json::from_str(&text) {
        Ok(Value::Array(answers)) => answers,
        _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    };
    let frame = |frame: &Value| {
        let text = |key: &str| frame[key].as_str().unwrap().to_owned();
        new_frame(&text("FunctionName"), &text("FileName"), frame["Line"].as_u64().unwrap())
    };
    // Nothing is known: one frame without a name.
    let is_known = |frame: &Frame| !frame.function.is_empty();
    let frames = |answer: &Value| {
        let frames = answer["Symbol"].as_array().unwrap().iter().map(frame);
        frames.filter(is_known).collect()
    };
    assert_eq!(answers.len(), addresses.len());
    Some(answers.iter().map(frames).collect())
}
