//! `.sym` files that were written say what the files say that they were made of.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use lastwords_symbols::{ModuleSymbols, SourceFrame, SymReport, Symbolication};

/// Nested inlining, templates, a function in a hot and a cold part, internal linkage, a lambda.
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
fn every_byte_of_a_program_is_the_same_in_its_sym_file() {
    for flags in [&["-gdwarf-5"][..], &["-gdwarf-4"], &["-gdwarf-5", "-gsplit-dwarf"], &["-s"]] {
        let folder = tempfile::tempdir().unwrap();
        let program = compile(folder.path(), flags);
        let (sym, report) = convert(&program, folder.path());
        assert!(report.frames > 5 && !report.is_cut, "{flags:?} {report:?}");
        let tally = compare(&program, &sym, 1);
        let is_stripped = flags.contains(&"-s");
        assert_eq!(tally.looked_up > 1000, !is_stripped, "{flags:?} {}", tally.looked_up);
        assert_eq!(tally.inline_frames > 100, !is_stripped, "{flags:?} {}", tally.inline_frames);
    }
}

#[test]
fn elf_files_of_the_corpus_are_the_same_in_their_sym_files() {
    let Some(corpus) = support::corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut looked_up) = (0, 0);
    for path in elf_files(&corpus.join("files")) {
        let symbols = ModuleSymbols::open(&path);
        if symbols.sym_header(None).is_err() {
            continue;
        }
        let (sym, _) = convert(&path, folder.path());
        let tally = compare(&path, &sym, 16);
        files += 1;
        looked_up += tally.looked_up;
    }
    println!("{files} files, {looked_up} addresses");
    assert!(files > 20 && looked_up > 50_000, "{files} {looked_up}");
}

#[test]
fn records_have_their_order_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), &["-g"]);
    let (sym, report) = convert(&program, folder.path());
    let text = std::fs::read_to_string(sym).unwrap();
    let mut kinds: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(text.starts_with("MODULE Linux "));
    kinds.retain(|kind| kind.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'));
    kinds.dedup();
    let kinds: Vec<_> = kinds.into_iter().filter(|kind| *kind != "FUNC").collect();
    assert_eq!(kinds[..4], ["MODULE", "INFO", "FILE", "INLINE_ORIGIN"]);
    assert_eq!(kinds.last(), Some(&"STACK"));
    assert!(report.functions > 5 && report.inlines > 5 && report.lines > 50, "{report:?}");
}

fn compile(folder: &Path, flags: &[&str]) -> PathBuf {
    std::fs::write(folder.join("source.cpp"), SOURCE).unwrap();
    let mut command = Command::new("c++");
    command.args(["-O2", "-Wl,--build-id", "-o", "program", "source.cpp"]).args(flags);
    assert!(command.current_dir(folder).status().unwrap().success(), "{command:?}");
    folder.join("program")
}

fn convert(path: &Path, folder: &Path) -> (PathBuf, SymReport) {
    let symbols = ModuleSymbols::open(path);
    let header = symbols.sym_header(None).unwrap();
    let sym = folder.join("written.sym");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&sym).unwrap());
    let report = symbols.write_sym(&header, &mut out).unwrap();
    (sym, report)
}

#[derive(Default)]
struct Tally {
    looked_up: usize,
    inline_frames: usize,
}

/// Looks every `step`th byte of the code up in both.
fn compare(path: &Path, sym: &Path, step: usize) -> Tally {
    let (original, written) = (ModuleSymbols::open(path), ModuleSymbols::open(sym));
    let mut tally = Tally::default();
    for range in original.code_ranges() {
        for rva in range.step_by(step) {
            let (expected, found) = (original.lookup(rva), written.lookup(rva));
            tally.looked_up += usize::from(!expected.frames.is_empty());
            tally.inline_frames += expected.frames.iter().filter(|frame| frame.is_inline).count();
            let (expected, found) = (comparable(&expected), comparable(&found));
            assert_eq!(found, expected, "{} {rva:#x}", path.display());
        }
    }
    tally
}

/// What a `.sym` file cannot say otherwise: that a function has no name, a line without a file or
/// a function.
fn comparable(found: &Symbolication) -> (Option<u64>, Vec<SourceFrame>) {
    if matches!(&found.frames[..], [frame] if frame.function.is_none()) {
        return (None, Vec::new());
    }
    let frame = |frame: &SourceFrame| SourceFrame {
        function: Some(frame.function.clone().unwrap_or("<name omitted>".to_owned())),
        line: frame.line.filter(|_| frame.file.is_some()),
        ..frame.clone()
    };
    (found.function_rva, found.frames.iter().map(frame).collect())
}

fn elf_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(elf_files(&path));
        } else if std::fs::read(&path).unwrap().starts_with(b"\x7fELF") {
            found.push(path);
        }
    }
    found
}
