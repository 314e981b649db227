//! `.sym` files that were written say what the files say that they were made of.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::collections::BTreeMap;
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

/// ELF, PE, PDB and Mach-O.
#[test]
fn files_of_the_corpus_are_the_same_in_their_sym_files() {
    let Some(corpus) = support::corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut tallies: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (kind, path) in symbol_files(&corpus.join("files")) {
        let symbols = ModuleSymbols::open(&path);
        if symbols.sym_header(None).is_err() {
            continue;
        }
        let (sym, report) = convert(&path, folder.path());
        let found = compare(&path, &sym, 16);
        println!("{kind} {} {report:?} {found:?}", path.display());
        assert!(found.later_parts * 20 <= found.looked_up, "{}", path.display());
        let tally = tallies.entry(kind).or_default();
        *tally = (tally.0 + 1, tally.1 + found.looked_up);
    }
    println!("{tallies:?}");
    let at_least =
        [("elf", 40, 200_000), ("macho", 1, 1_000), ("pdb", 3, 10_000), ("pe", 3, 10_000)];
    for (kind, files, looked_up) in at_least {
        let found = tallies[kind];
        assert!(found.0 >= files && found.1 >= looked_up, "{kind} {found:?}");
    }
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

#[derive(Debug, Default)]
struct Tally {
    looked_up: usize,
    inline_frames: usize,
    later_parts: usize,
}

/// Looks every `step`th byte of the code up in both.
fn compare(path: &Path, sym: &Path, step: usize) -> Tally {
    let (original, written) = (ModuleSymbols::open(path), ModuleSymbols::open(sym));
    let mut tally = Tally::default();
    let mut differences = Vec::new();
    for range in original.code_ranges() {
        for rva in range.step_by(step) {
            let (expected, found) = (original.lookup(rva), written.lookup(rva));
            tally.looked_up += usize::from(!expected.frames.is_empty());
            tally.inline_frames += expected.frames.iter().filter(|frame| frame.is_inline).count();
            let (mut expected, found) = (comparable(&expected), comparable(&found));
            if expected.0 < found.0 && expected.0.is_some() {
                // A function that goes on behind another one: the second part has its own start.
                tally.later_parts += 1;
                expected.0 = found.0;
            }
            if found != expected {
                differences.push(format!("{rva:#x} {found:?} instead of {expected:?}"));
            }
        }
    }
    let shown: Vec<_> = differences.iter().take(5).collect();
    assert!(differences.is_empty(), "{} {}: {shown:#?}", path.display(), differences.len());
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

fn symbol_files(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(symbol_files(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let kind = match &bytes[..] {
            [0x7f, b'E', b'L', b'F', ..] => "elf",
            [b'M', b'Z', ..] => "pe",
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => "macho",
            _ if bytes.starts_with(b"Microsoft C/C++ MSF 7.00") => "pdb",
            _ => continue,
        };
        found.push((kind, path));
    }
    found
}

/// Clang writes an MD5 of each source file into DWARF 5 (version 14 only where no header is included); Microsoft's tools a checksum into PDBs.
#[test]
fn source_checksums_are_those_of_the_compiler() {
    if Command::new("clang").arg("--version").output().is_err() {
        eprintln!("skipped: no clang on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Without headers: clang 14 leaves out all checksums of a unit when one file of it has none.
    let source = folder.path().join("source.c");
    std::fs::write(&source, "int main(void) {\n    return 2;\n}\n").unwrap();
    let mut command = Command::new("clang");
    command.args(["-O2", "-gdwarf-5", "-c", "-o", "source.o", "source.c"]);
    assert!(command.current_dir(folder.path()).status().unwrap().success(), "{command:?}");
    let mut link = Command::new("clang");
    link.args(["-Wl,--build-id", "-o", "program", "source.o"]);
    assert!(link.current_dir(folder.path()).status().unwrap().success(), "{link:?}");
    let symbols = ModuleSymbols::open(&folder.path().join("program"));
    let source = source.to_str().unwrap().to_owned();
    let found = symbols.source_checksums(&[source.clone(), "/nowhere.cpp".to_owned()]);
    let sum = Command::new("md5sum").arg(&source).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    let expected = format!("md5:{}", sum.split(' ').next().unwrap());
    assert_eq!(found.get(&source), Some(&expected), "{found:?}");
    assert_eq!(found.len(), 1);
}
