//! rust-minidump's own JSON snapshots: each is contained in our document of the same dump, field by
//! field, apart from the differences that stand here with their reasons.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

#[path = "support/corpus.rs"]
mod corpus;

use std::path::Path;

use lastwords_analyze::{Options, analyze_bytes};
use serde_json::Value;

use corpus::corpus;

const RUST_MINIDUMP: &str = "files/rust-minidump+rust-minidump";

/// Differences that are meant: they begin with the first, and the place ends with the second.
type Justified = (&'static str, &'static str);

/// A list, because ours has entries of its own.
const SOFT_ERRORS: Justified = ("$.soft_errors", "");
/// Ours searched for symbols; theirs was given no place to search in.
const SEARCHED: Justified = ("$.modules[", ".missing_symbols");
/// Theirs was given a second file that names the signer of a module.
const SIGNERS: [Justified; 2] =
    [("$.modules[", ".cert_subject"), ("$.modules_contains_cert_info", "")];

/// A snapshot, its dump, and whether it was taken with symbols.
const SNAPSHOTS: [(&str, &str, bool); 8] = [
    ("json", "test.dmp", false),
    ("json-pretty", "test.dmp", false),
    ("json-stable-all", "test.dmp", false),
    ("json-unstable-all", "test.dmp", false),
    ("json-pretty-symbols", "test.dmp", true),
    ("json-pretty-evil-symbols", "test.dmp", true),
    ("linux_json_pretty", "linux-mini.dmp", false),
    ("macos_inlines_json_pretty", "pipeline-inlines-macos-segv.dmp", true),
];

#[test]
fn every_snapshot_is_contained_in_ours() {
    let Some(root) = corpus() else { return };
    for (name, dump, has_symbols) in SNAPSHOTS {
        let path = root.join(RUST_MINIDUMP).join("testdata").join(dump);
        let symbols = root.join(RUST_MINIDUMP).join("testdata/symbols");
        let ours = analyze(&path, std::fs::read(&path).unwrap(), has_symbols.then_some(&symbols));
        let mut justified = vec![SOFT_ERRORS];
        if !has_symbols {
            justified.push(SEARCHED);
        }
        if name.contains("evil") {
            justified.extend(SIGNERS);
        }
        assert_contains(name, &snapshot(&root, name), &ours, &justified);
    }
}

#[test]
fn offsets_into_unloaded_modules_are_contained_in_ours() {
    let Some(root) = corpus() else { return };
    let ours = analyze(Path::new("unloaded.dmp"), unloaded_dump(), None);
    let theirs = snapshot(&root, "json-pretty-unloaded");
    assert_contains("json-pretty-unloaded", &theirs, &ours, &[SOFT_ERRORS]);
}

#[test]
fn soft_errors_of_foreign_writers_stand_whole_in_ours() {
    let Some(root) = corpus() else { return };
    let path = root.join(RUST_MINIDUMP).join("testdata/linux-mini.dmp");
    let ours = analyze(&path, std::fs::read(&path).unwrap(), None);
    let theirs = snapshot(&root, "linux_json_pretty");
    let theirs = theirs["soft_errors"].as_array().unwrap();
    let ours = ours["soft_errors"].as_array().unwrap();
    assert!(ours.len() >= theirs.len());
    for (theirs, ours) in theirs.iter().zip(ours) {
        assert_eq!(theirs, &ours["detail"]);
    }
}

fn analyze(path: &Path, bytes: Vec<u8>, symbols: Option<&std::path::PathBuf>) -> Value {
    let options = Options {
        symbols: symbols.into_iter().cloned().collect(),
        local_modules: false,
        ..Options::default()
    };
    analyze_bytes(path, bytes, &options).unwrap()
}

/// The JSON in one of rust-minidump's insta snapshots: a YAML head between `---` lines first.
fn snapshot(root: &Path, name: &str) -> Value {
    let path = root
        .join(RUST_MINIDUMP)
        .join("minidump-stackwalk/tests/snapshots")
        .join(format!("test_minidump_stackwalk__{name}.snap"));
    let text = std::fs::read_to_string(path).unwrap();
    let body = text.splitn(3, "---\n").nth(2).unwrap();
    serde_json::from_str(body).unwrap()
}

fn assert_contains(name: &str, theirs: &Value, ours: &Value, justified: &[Justified]) {
    let mut differences = Vec::new();
    let fields = contained(theirs, ours, "$", &mut differences);
    let total = differences.len();
    differences.retain(|difference| !is_justified(difference, justified));
    println!("{name}: {fields} fields, {total} justified differences");
    assert!(differences.is_empty(), "{name}: {differences:#?}");
}

fn is_justified(difference: &str, justified: &[Justified]) -> bool {
    let place = difference.split(": ").next().unwrap();
    justified.iter().any(|(start, end)| place.starts_with(start) && place.ends_with(end))
}

/// Collects what of theirs is not in ours; the number of their values.
fn contained(theirs: &Value, ours: &Value, path: &str, differences: &mut Vec<String>) -> usize {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let fields = theirs.iter().map(|(key, value)| {
                let own = ours.get(key).unwrap_or(&Value::Null);
                contained(value, own, &format!("{path}.{key}"), differences)
            });
            fields.sum()
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            let fields = theirs.iter().zip(ours).enumerate().map(|(index, (theirs, ours))| {
                contained(theirs, ours, &format!("{path}[{index}]"), differences)
            });
            fields.sum()
        }
        (theirs, ours) => {
            if theirs != ours {
                differences.push(format!("{path}: {theirs} is {ours}"));
            }
            1
        }
    }
}

/// The dump that rust-minidump's test makes: one thread of x86 at 0xf00800, no modules, eight that
/// were unloaded: address, size, name.
const UNLOADED: [(u64, u32, &str); 8] = [
    (0x00a0_03a0, 0x1000, "unused.dll"),
    (0x00f0_0000, 0x1000, "many.dll"),
    (0x0af0_0220, 0x2000, "solo.dll"),
    (0x00f0_0100, 0x1000, "many.dll"),
    (0x00f0_03a0, 0x1000, "many.dll"),
    (0x00f0_0220, 0x2000, "solo.dll"),
    (0x0af0_0220, 0x2000, "solo.dll"),
    (0x00f0_0000, 0x1000, "many.dll"),
];
const TIMESTAMP: u32 = 0xb105_4d2a;

fn unloaded_dump() -> Vec<u8> {
    let (directory, streams) = (32, 3);
    let mut bytes = Vec::new();
    push(&mut bytes, &[0x504d_444d, 0xa793, streams, directory, 0, 0, 0, 0]);
    bytes.resize((directory + 12 * streams) as usize, 0);
    let context = bytes.len() as u32;
    push(&mut bytes, &[0x0001_003f]);
    bytes.resize(context as usize + 716, 0);
    set(&mut bytes, context + 184, 0x00f0_0800);
    set(&mut bytes, context + 196, 0x1010);
    let names: Vec<u32> = UNLOADED.iter().map(|(.., name)| push_text(&mut bytes, name)).collect();
    let thread = bytes.len() as u32;
    push(&mut bytes, &[1, 0x1234, 0, 0, 0, 0, 0, 0, 0, 0, 0, 716, context]);
    let modules = bytes.len() as u32;
    push(&mut bytes, &[12, 24, UNLOADED.len() as u32]);
    for ((base, size, _), name) in UNLOADED.iter().zip(names) {
        push(&mut bytes, &[*base as u32, 0, *size, 0, TIMESTAMP, name]);
    }
    let system = bytes.len() as u32;
    // x86 of family 6, one processor.
    push(&mut bytes, &[0x0006_0000, 0x0001_0000, 0, 0, 0, 0]);
    bytes.resize(system as usize + 56, 0);
    let end = bytes.len() as u32;
    let entries = [(3, thread, modules), (14, modules, system), (7, system, end)];
    for (index, (kind, start, end)) in entries.into_iter().enumerate() {
        let at = directory + 12 * index as u32;
        set(&mut bytes, at, kind);
        set(&mut bytes, at + 4, end - start);
        set(&mut bytes, at + 8, start);
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, words: &[u32]) {
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn set(bytes: &mut [u8], at: u32, word: u32) {
    bytes[at as usize..at as usize + 4].copy_from_slice(&word.to_le_bytes());
}

fn push_text(bytes: &mut Vec<u8>, text: &str) -> u32 {
    let at = bytes.len() as u32;
    push(bytes, &[2 * text.len() as u32]);
    bytes.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    at
}
