//! Lookups against llvm-symbolizer's answers for the corpus: ELF, PE with PDB, PE with DWARF, Mach-O.
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

use lastwords_symbols::ModuleSymbols;
use serde_json::Value;
use support::frames::{Frame, is_equal, name, our_frame, their_frame};

/// Parts per thousand of the addresses whose frames must be equal, or differ by a known gap.
const EXPECTED_PER_MILLE: usize = 995;
/// Parts per thousand of the equal ones whose names are spelt to the last character as LLVM does.
const IDENTICAL_PER_MILLE: usize = 950;
/// "Step into" and "step over" in CodeView's lines.
const NO_LINES: [u64; 2] = [0x00f0_0f00, 0x00fe_efee];

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Identical,
    /// Frames, files, lines, and names up to how the demanglers spell parameters.
    Equal,
    /// llvm-symbolizer 14 is known to be wrong here.
    KnownGap(&'static str),
    Different,
}

#[derive(Default)]
struct Tally {
    total: usize,
    identical: usize,
    equal: usize,
    known: BTreeMap<&'static str, usize>,
    differences: Vec<String>,
}

#[test]
fn lookups_equal_llvm_symbolizer() {
    let Some(corpus) = support::corpus() else { return };
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for reference in json_files(&corpus.join("reference/llvm-symbolizer")) {
        let document: Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
        let object = document["object"].as_str().unwrap();
        // llvm-symbolizer 14 cannot read zstd sections; the same code with plain ones stands in.
        if object.ends_with("crash.debug-zstd") {
            continue;
        }
        let has_pdb = document["companion"].as_str().is_some_and(|path| path.ends_with(".pdb"));
        let format = format_of(&corpus.join(object), has_pdb);
        let tally = tallies.entry(format).or_default();
        compare(&corpus.join(object), &document, format, tally);
        if object.ends_with("crash.debug") {
            compare(&corpus.join(format!("{object}-zstd")), &document, format, tally);
        }
    }
    for (format, tally) in &tallies {
        tally.print(format);
    }
    assert_eq!(tallies.len(), 4);
    for (format, tally) in &tallies {
        let known: usize = tally.known.values().sum();
        let good = tally.identical + tally.equal;
        assert!((good + known) * 1000 >= tally.total * EXPECTED_PER_MILLE, "{format}");
        assert!(tally.identical * 1000 >= good * IDENTICAL_PER_MILLE, "{format}");
    }
    assert!(tallies.values().map(|tally| tally.total).sum::<usize>() > 4500);
}

impl Tally {
    fn print(&self, format: &str) {
        println!(
            "{format}: {} addresses, {} identical, {} equal, {:?}, {} different",
            self.total,
            self.identical,
            self.equal,
            self.known,
            self.differences.len()
        );
        for difference in self.differences.iter().take(20) {
            println!("{difference}");
        }
    }
}

fn format_of(object: &Path, has_pdb: bool) -> &'static str {
    let head = std::fs::read(object).unwrap();
    match &head[..2] {
        b"MZ" if has_pdb => "PE+PDB",
        b"MZ" => "PE+DWARF",
        b"\x7fE" => "ELF",
        _ => "Mach-O",
    }
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

fn compare(object: &Path, document: &Value, format: &str, tally: &mut Tally) {
    let symbols = ModuleSymbols::open(object);
    let is_rva = document["address_kind"] == "rva";
    let base = if is_rva { 0 } else { symbols.image_base() };
    for lookup in document["lookups"].as_array().unwrap() {
        let address = lookup["addr"].as_str().unwrap().trim_start_matches("0x");
        let address = u64::from_str_radix(address, 16).unwrap();
        let ours: Vec<_> = symbols.lookup(address - base).frames.iter().map(our_frame).collect();
        let theirs: Vec<_> = lookup["frames"].as_array().unwrap().iter().map(their_frame).collect();
        let is_known = |frame: &Frame| frame.function != "?" || frame.place != "?:0";
        let theirs: Vec<_> = theirs.into_iter().filter(is_known).collect();
        tally.total += 1;
        match judge(&ours, &theirs, format == "PE+PDB") {
            Verdict::Identical => tally.identical += 1,
            Verdict::Equal => tally.equal += 1,
            Verdict::KnownGap(gap) => *tally.known.entry(gap).or_default() += 1,
            Verdict::Different => {
                let name = object.file_name().unwrap().display();
                let text = format!("{name} {address:#x}\n  {ours:?}\n  {theirs:?}");
                tally.differences.push(text);
            }
        }
    }
}

fn judge(ours: &[Frame], theirs: &[Frame], has_pdb: bool) -> Verdict {
    if ours == theirs {
        return Verdict::Identical;
    }
    let pairs = || ours.iter().zip(theirs);
    let are_all = |is_like: fn(&Frame, &Frame) -> bool| {
        ours.len() == theirs.len() && pairs().all(|(ours, theirs)| is_like(ours, theirs))
    };
    if are_all(is_equal) {
        return Verdict::Equal;
    }
    if are_all(|ours, theirs| ours.place == theirs.place && is_undecorated(ours, theirs)) {
        return Verdict::KnownGap("LLVM takes an underscore off that is the name's own");
    }
    let is_mangled = |ours: &Frame, theirs: &Frame| {
        theirs.function.starts_with("_Z") && !ours.function.starts_with("_Z")
    };
    let is_demangled = |(ours, theirs): (&Frame, &Frame)| {
        ours.place == theirs.place && (is_mangled(ours, theirs) || name(ours) == name(theirs))
    };
    if ours.len() == theirs.len() && pairs().all(is_demangled) {
        return Verdict::KnownGap("LLVM 14 leaves some names mangled");
    }
    if !has_pdb {
        return Verdict::Different;
    }
    let step = |frame: &Frame| NO_LINES.iter().any(|line| frame.place.ends_with(&line.to_string()));
    if theirs.iter().any(step) {
        return Verdict::KnownGap("LLVM takes the mark of code without a line for a line");
    }
    let outermost = ours.last().zip(theirs.last());
    if !outermost.is_some_and(|(ours, theirs)| is_equal(ours, theirs)) {
        return Verdict::Different;
    }
    if are_all(|ours, theirs| name(ours) == name(theirs)) {
        // Version 19 agrees with us where clang made the PDB.
        return Verdict::KnownGap("LLVM 14 takes the line before or after in inlined calls");
    }
    // Its search for an inlined call wants the length of each range, which Microsoft's compilers
    // leave out where the next range follows. Version 19 does so still.
    let mut rest = ours.iter();
    if theirs.iter().all(|theirs| rest.any(|ours| name(ours) == name(theirs))) {
        return Verdict::KnownGap("LLVM does not find all inlined calls");
    }
    Verdict::Different
}

/// `_name` of ours is their `name`, however many there are.
fn is_undecorated(ours: &Frame, theirs: &Frame) -> bool {
    let (ours, theirs) = (name(ours), name(theirs));
    ours == theirs || ours.strip_prefix('_') == Some(theirs.as_str())
}
