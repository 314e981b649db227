//! ELF lookups against llvm-symbolizer's answers for the corpus.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::{Path, PathBuf};

use lastwords_symbols::{ModuleSymbols, SourceFrame};
use serde_json::Value;

/// Parts per thousand of the addresses whose frames must be equal.
const EXPECTED_PER_MILLE: usize = 990;
/// Parts per thousand whose names are spelt as LLVM's demangler does.
const IDENTICAL_PER_MILLE: usize = 900;

#[derive(Default)]
struct Tally {
    /// Frames, files, lines, and names up to how the demanglers spell parameters.
    equal: usize,
    /// Names to the last character as well.
    identical: usize,
    total: usize,
    differences: Vec<String>,
}

#[test]
fn elf_lookups_equal_llvm_symbolizer() {
    let Some(corpus) = support::corpus() else { return };
    let mut tally = Tally::default();
    for reference in json_files(&corpus.join("reference/llvm-symbolizer")) {
        let document: Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
        let lookups = document["lookups"].as_array().unwrap();
        let object = document["object"].as_str().unwrap();
        // llvm-symbolizer 14 cannot read zstd sections.
        if object.ends_with("crash.debug-zstd") {
            continue;
        }
        if std::fs::read(corpus.join(object)).unwrap().starts_with(b"\x7fELF") {
            compare(&corpus.join(object), lookups, &mut tally);
        }
        if object.ends_with("crash.debug") {
            compare(&corpus.join(format!("{object}-zstd")), lookups, &mut tally);
        }
    }
    let per_mille = tally.equal * 1000 / tally.total;
    println!(
        "{} addresses: {} equal ({per_mille} per mille), {} identical",
        tally.total, tally.equal, tally.identical
    );
    for difference in tally.differences.iter().take(40) {
        println!("{difference}");
    }
    assert!(tally.total > 2000);
    assert!(per_mille >= EXPECTED_PER_MILLE, "{per_mille}");
    assert!(tally.identical * 1000 / tally.total >= IDENTICAL_PER_MILLE);
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn compare(object: &Path, lookups: &[Value], tally: &mut Tally) {
    let symbols = ModuleSymbols::open(object);
    let elf =
        symbols.elf().unwrap_or_else(|| panic!("{}: {:?}", object.display(), symbols.status()));
    let base = elf.code().or(elf.debug()).unwrap().image_base();
    for lookup in lookups {
        let address = lookup["addr"].as_str().unwrap().trim_start_matches("0x");
        let address = u64::from_str_radix(address, 16).unwrap();
        let ours = symbols.lookup(address - base);
        let ours: Vec<_> = ours.frames.iter().map(describe).collect();
        let theirs: Vec<_> =
            lookup["frames"].as_array().unwrap().iter().map(describe_reference).collect();
        let theirs: Vec<_> = theirs.into_iter().filter(|frame| frame != "? ?:0").collect();
        tally.total += 1;
        tally.identical += usize::from(ours == theirs);
        let is_equal = ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(ours, theirs)| is_like(ours, theirs));
        tally.equal += usize::from(is_equal);
        if !is_equal {
            let name = object.file_name().unwrap().display();
            tally.differences.push(format!("{name} {address:#x}\n  {ours:?}\n  {theirs:?}"));
        }
    }
}

/// Same place, and the same letters of the name before its template and parameter lists.
fn is_like(ours: &str, theirs: &str) -> bool {
    let place = |text: &str| text.rsplit(' ').next().unwrap().to_owned();
    let name = |text: &str| {
        let end = text.find(['<', '(']).filter(|at| *at > 0).unwrap_or(text.len());
        text[..end].rsplit(' ').next().unwrap().to_owned()
    };
    place(ours) == place(theirs) && name(ours) == name(theirs)
}

fn describe(frame: &SourceFrame) -> String {
    let function = frame.function.as_deref().unwrap_or("?");
    let file = frame.file.as_deref().unwrap_or("?");
    place(function, file, u64::from(frame.line.unwrap_or(0)))
}

fn describe_reference(frame: &Value) -> String {
    let known = |key: &str| match frame[key].as_str().unwrap() {
        "" | "??" => "?",
        text => text,
    };
    place(known("fn"), known("file"), frame["line"].as_u64().unwrap())
}

/// The names of compilers' clones are written in two ways, and llvm-symbolizer guesses a file
/// from the symbol table where it knows no line.
fn place(function: &str, file: &str, line: u64) -> String {
    let function = function.split(" [clone ").next().unwrap();
    let function = function.split(" (.").next().unwrap();
    if line == 0 { format!("{function} ?:0") } else { format!("{function} {file}:{line}") }
}
