//! Lookups against llvm-symbolizer's answers for the corpus: ELF, PE with PDB, PE with DWARF, Mach-O.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

#[path = "support/second.rs"]
mod second;
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

#[derive(Clone, Default)]
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
        let companion = document["companion"].as_str().filter(|path| path.ends_with(".pdb"));
        let pdb = companion.map(|path| corpus.join(path));
        let tally = tallies.entry(format_of(&corpus.join(object), pdb.is_some())).or_default();
        compare(&corpus.join(object), pdb.as_deref(), &document, tally);
        if object.ends_with("crash.debug") {
            compare(&corpus.join(format!("{object}-zstd")), None, &document, tally);
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
        println!("{format}: {}", self.since(&Self::default()));
        for difference in self.differences.iter().take(20) {
            println!("{difference}");
        }
    }

    /// In words, what came after an earlier state.
    fn since(&self, before: &Self) -> String {
        let known = self
            .known
            .iter()
            .map(|(gap, count)| (gap, count - before.known.get(gap).unwrap_or(&0)));
        format!(
            "{} addresses, {} identical, {} equal, {:?}, {} different",
            self.total - before.total,
            self.identical - before.identical,
            self.equal - before.equal,
            known.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>(),
            self.differences.len() - before.differences.len()
        )
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

fn compare(object: &Path, pdb: Option<&Path>, document: &Value, tally: &mut Tally) {
    let symbols = ModuleSymbols::open(object);
    let is_rva = document["address_kind"] == "rva";
    let base = if is_rva { 0 } else { symbols.image_base() };
    let lookups = document["lookups"].as_array().unwrap();
    let rvas: Vec<u64> = lookups.iter().map(|lookup| address(lookup) - base).collect();
    let second = pdb.map(|pdb| second::answers(pdb, &rvas));
    let before = tally.clone();
    for (index, (lookup, rva)) in lookups.iter().zip(&rvas).enumerate() {
        let ours: Vec<_> = symbols.lookup(*rva).frames.iter().map(our_frame).collect();
        let theirs: Vec<_> = lookup["frames"].as_array().unwrap().iter().map(their_frame).collect();
        let is_known = |frame: &Frame| frame.function != "?" || frame.place != "?:0";
        let theirs: Vec<_> = theirs.into_iter().filter(is_known).collect();
        let second = second.as_ref().map(|answers| &answers[index][..]);
        match judge(&ours, &theirs, second) {
            Verdict::Identical => tally.identical += 1,
            Verdict::Equal => tally.equal += 1,
            Verdict::KnownGap(gap) => *tally.known.entry(gap).or_default() += 1,
            Verdict::Different => {
                let name = object.file_name().unwrap().display();
                let text = format!("{name} {rva:#x}\n  {ours:?}\n  {theirs:?}\n  {second:?}");
                tally.differences.push(text);
            }
        }
    }
    tally.total += lookups.len();
    println!("{}: {}", object.file_name().unwrap().display(), tally.since(&before));
}

fn address(lookup: &Value) -> u64 {
    u64::from_str_radix(lookup["addr"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// What LLVM says, against ours; of PDBs also against what the second reader says.
fn judge(ours: &[Frame], theirs: &[Frame], second: Option<&[Frame]>) -> Verdict {
    if ours == theirs {
        return Verdict::Identical;
    }
    if are_all(ours, theirs, is_equal) {
        return Verdict::Equal;
    }
    if are_all(ours, theirs, |ours, theirs| {
        ours.place == theirs.place && is_undecorated(ours, theirs)
    }) {
        return Verdict::KnownGap("LLVM takes an underscore off that is the name's own");
    }
    let is_mangled = |ours: &Frame, theirs: &Frame| {
        theirs.function.starts_with("_Z") && !ours.function.starts_with("_Z")
    };
    if are_all(ours, theirs, |ours, theirs| {
        ours.place == theirs.place && (is_mangled(ours, theirs) || name(ours) == name(theirs))
    }) {
        return Verdict::KnownGap("LLVM 14 leaves some names mangled");
    }
    if are_all(ours, theirs, |ours, theirs| ours.place == theirs.place && is_rust(ours, theirs)) {
        return Verdict::KnownGap("LLVM 14 does not spell out Rust's names");
    }
    second.map_or(Verdict::Different, |second| judge_pdb(ours, theirs, second))
}

/// Its search for an inlined call wants the length of each range, which Microsoft's compilers leave
/// out where the next range follows, and its table of lines is not sorted where a function has
/// lines of several files: version 19 does so still.
fn judge_pdb(ours: &[Frame], theirs: &[Frame], second: &[Frame]) -> Verdict {
    if are_all(ours, second, is_equal) {
        return Verdict::KnownGap("a second reader of PDBs contradicts LLVM, and agrees with us");
    }
    let step = |frame: &Frame| NO_LINES.iter().any(|line| frame.place.ends_with(&line.to_string()));
    if theirs.iter().any(step) {
        return Verdict::KnownGap("LLVM takes the mark of code without a line for a line");
    }
    let mut rest = ours.iter();
    let is_part = theirs.iter().all(|theirs| rest.any(|ours| name(ours) == name(theirs)));
    if is_part && rest.next().is_none() && ours.len() == second.len() {
        return Verdict::KnownGap("LLVM misses inlined calls, a second reader finds as many as we");
    }
    Verdict::Different
}

fn are_all(ours: &[Frame], theirs: &[Frame], is_like: impl Fn(&Frame, &Frame) -> bool) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(ours, theirs)| is_like(ours, theirs))
}

/// `_name` of ours is their `name`, however many there are.
fn is_undecorated(ours: &Frame, theirs: &Frame) -> bool {
    let (ours, theirs) = (name(ours), name(theirs));
    ours == theirs || ours.strip_prefix('_') == Some(theirs.as_str())
}

/// Whether theirs is what the C++ demangler makes of a name that Rust mangled.
fn is_rust(ours: &Frame, theirs: &Frame) -> bool {
    let Some((path, hash)) = theirs.function.rsplit_once("::h") else {
        return name(ours) == name(theirs);
    };
    let spelt = [
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$u20$", " "),
        ("$u27$", "'"),
        ("$u5b$", "["),
        ("$u5d$", "]"),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("$RF$", "&"),
        ("$BP$", "*"),
        ("$C$", ","),
        ("$LP$", "("),
        ("$RP$", ")"),
        ("$u3b$", ";"),
        ("$u2b$", "+"),
        ("$u22$", "\""),
        ("..", "::"),
    ];
    let path = format!("::{path}").replace("::_$", "::$");
    let path = spelt.iter().fold(path, |path, (from, to)| path.replace(from, to));
    hash.len() == 16 && path.strip_prefix("::") == Some(ours.function.as_str())
}
