//! Breakpad's stacks of the same dumps: the outputs that its repository checks in, and what its
//! programs say of every dump of the corpus.
//!
//! Only what Breakpad is sure of is compared: frames out of the context, by call frame information, and
//! inlined ones. What it scanned for or took from frame pointers, and what lies behind, is no truth.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

#[path = "support/corpus.rs"]
mod corpus;

use std::path::{Path, PathBuf};

use lastwords_analyze::analyze_file;
use lastwords_convert::{FileKind, kind_of, microdump_to_minidump};
use serde_json::{Value, json};

use corpus::{corpus, rows};

const TESTDATA: &str = "files/google+breakpad/src/processor/testdata";
/// A dump, and Breakpad's checked-in output.
const CHECKED_IN: [(&str, &str); 3] = [
    ("minidump2.dmp", "minidump2.stackwalk.out"),
    ("microdump-arm.dmp", "microdump.stackwalk-arm.out"),
    ("microdump-arm64.dmp", "microdump.stackwalk-arm64.out"),
];

#[test]
fn stacks_that_breakpad_checks_in_are_ours() {
    let Some(root) = corpus() else { return };
    let folder = root.join(TESTDATA);
    for (dump, expected) in CHECKED_IN {
        let text = std::fs::read_to_string(folder.join(expected)).unwrap();
        let ours = analyze(&folder.join(dump), &[folder.join("symbols")]).unwrap();
        let tally = compare(dump, &ours, &text);
        assert!(tally.same >= 4 && tally.differences.is_empty(), "{:#?}", tally.differences);
    }
}

#[test]
fn stacks_that_breakpad_is_sure_of_are_ours() {
    let Some(root) = corpus() else { return };
    let symbols: Vec<PathBuf> = rows(&root)
        .iter()
        .filter(|row| row.kind == "symbol" && row.format == "breakpad-sym")
        .map(|row| root.join(&row.file))
        .collect();
    let mut total = Tally::default();
    for row in rows(&root).iter().filter(|row| row.kind == "dump") {
        let reference = root.join(format!("reference/breakpad/{}.human.txt", row.tail()));
        let Ok(text) = std::fs::read_to_string(reference) else { continue };
        let Some(ours) = analyze(&root.join(&row.file), &symbols) else { continue };
        let tally = compare(&row.file, &ours, &text);
        total.same += tally.same;
        total.differences.extend(tally.differences);
    }
    println!("{} frames are the same, {} differ", total.same, total.differences.len());
    assert!(total.differences.is_empty(), "{:#?}", total.differences);
    assert!(total.same > 200, "{}", total.same);
}

/// Breakpad inside of `symbolic`, with call frame information that it made of the ELF file.
#[test]
fn stacks_that_symbolic_checks_in_are_ours() {
    let Some(root) = corpus() else { return };
    let symbolic = root.join("files/getsentry+symbolic");
    let fixtures = symbolic.join("symbolic-testutils/fixtures");
    let cases =
        [("linux", "linux", false), ("linux_cfi", "linux", true), ("macos", "macos", false)];
    for (name, system, has_symbols) in cases.into_iter().chain([("windows", "windows", false)]) {
        let snapshot = format!("test_processor__process_state_{name}.snap");
        let snapshot = symbolic.join("symbolic-minidump/tests/snapshots").join(snapshot);
        let text = std::fs::read_to_string(snapshot).unwrap();
        let symbols = has_symbols.then(|| fixtures.join(system));
        let dump = fixtures.join(system).join("mini.dmp");
        let ours = analyze(&dump, symbols.as_slice()).unwrap();
        let ours: Vec<_> = ours["threads"].as_array().unwrap().iter().map(our_frames).collect();
        let mut same = 0;
        for (thread, addresses) in sure_addresses(&text).iter().enumerate() {
            let physical = ours[thread].iter().filter(|frame| frame.address != 0);
            let found: Vec<_> = physical.map(|frame| frame.address).take(addresses.len()).collect();
            assert_eq!(&found, addresses, "{name} thread {thread}");
            same += found.len();
        }
        println!("{name}: {same} frames the same");
        assert!(same > 0);
    }
}

/// Of each thread, the instructions of the first frames out of the context and by CFI.
fn sure_addresses(text: &str) -> Vec<Vec<u64>> {
    let mut threads: Vec<Vec<u64>> = Vec::new();
    let (mut instruction, mut is_sure) = (0, true);
    for line in text.lines().map(str::trim) {
        if line.starts_with("CallStack {") {
            threads.push(Vec::new());
            is_sure = true;
        } else if let Some(number) = line.strip_prefix("instruction: ") {
            instruction = number.trim_end_matches(',').parse().unwrap();
        } else if let Some(trust) = line.strip_prefix("trust: ") {
            is_sure &= ["Context,", "CFI,"].contains(&trust);
            if let Some(frames) = threads.last_mut().filter(|_| is_sure) {
                frames.push(instruction);
            }
        }
    }
    threads
}

#[derive(Default)]
struct Tally {
    same: usize,
    differences: Vec<String>,
}

/// A frame of either.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    module: String,
    function: String,
    /// File without folders, and line.
    place: String,
    /// Resume address; 0 in inlined frames.
    address: u64,
}

/// `None`: a microdump of a processor that no minidump is made for.
fn analyze(dump: &Path, symbols: &[PathBuf]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let converted = folder.path().join("converted.dmp");
    let dump = match kind_of(dump) {
        Ok(FileKind::Microdump) => {
            microdump_to_minidump(dump, &converted).ok()?;
            &converted
        }
        _ => dump,
    };
    let options = json!({"symbols": symbols, "local_modules": false});
    let document = analyze_file(dump, options.to_string().as_bytes()).ok()?;
    Some(serde_json::from_slice(&document).unwrap())
}

fn compare(name: &str, ours: &Value, text: &str) -> Tally {
    let mut tally = Tally::default();
    let threads = threads(text);
    let mut ours: Vec<_> = ours["threads"].as_array().unwrap().iter().map(our_frames).collect();
    if ours.len() > threads.len() {
        // Breakpad does not count the thread that wrote the dump; ours has no frames.
        ours.retain(|frames| !frames.is_empty());
    }
    for (thread, expected) in threads {
        let found = ours.get(thread).map(Vec::as_slice).unwrap_or_default();
        for (index, expected) in expected.iter().enumerate() {
            match found.get(index) {
                Some(found) if is_same(found, expected) => tally.same += 1,
                found => tally
                    .differences
                    .push(format!("{name} thread {thread} #{index}: {found:?}, {expected:?}")),
            }
        }
    }
    println!("{name}: {} frames the same, {} not", tally.same, tally.differences.len());
    tally
}

fn is_same(ours: &Frame, theirs: &Frame) -> bool {
    // Ours is the address of the call: 1 before x86's next instruction, up to 4 before ARM's.
    // Thumb's mark is in bit 0.
    let is_near = |address: u64| address.wrapping_sub(ours.address) <= 4;
    let is_there = is_near(theirs.address) || is_near(theirs.address & !1);
    ours.module == theirs.module
        && ours.function == theirs.function
        && ours.place == theirs.place
        && (theirs.address == 0 || is_there)
}

fn our_frames(thread: &Value) -> Vec<Frame> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |value: &Value| match value["line"].as_u64() {
        Some(line) => format!("{}:{line}", leaf(&text(&value["file"]))),
        None => String::new(),
    };
    let mut frames = Vec::new();
    for frame in thread["frames"].as_array().unwrap() {
        let module = text(&frame["module"]);
        for inline in frame["inlines"].as_array().into_iter().flatten() {
            let (function, place) = (text(&inline["function"]), place(inline));
            frames.push(Frame { module: module.clone(), function, place, address: 0 });
        }
        let address = text(&frame["offset"]);
        frames.push(Frame {
            module,
            function: text(&frame["function"]),
            place: place(frame),
            address: u64::from_str_radix(address.trim_start_matches("0x"), 16).unwrap(),
        });
    }
    frames
}

fn leaf(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap()
}

/// Of each thread of a human-readable output, the first frames that Breakpad is sure of.
fn threads(text: &str) -> Vec<(usize, Vec<Frame>)> {
    let mut threads: Vec<(usize, Vec<Frame>)> = Vec::new();
    let (mut current, mut is_sure) = (Frame::default(), true);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Thread ") {
            let number = rest.split(' ').next().unwrap().trim_end_matches(':');
            let Ok(number) = number.parse() else { continue };
            threads.push((number, Vec::new()));
            is_sure = true;
        } else if line.starts_with("Loaded modules") {
            break;
        } else if let Some(found_by) = line.trim().strip_prefix("Found by: ") {
            is_sure &= ["given as", "call frame info", "inline record"]
                .iter()
                .any(|sure| found_by.starts_with(sure));
            let frame = std::mem::take(&mut current);
            if let Some((_, frames)) = threads.last_mut().filter(|_| is_sure) {
                frames.push(frame);
            }
        } else if let Some(frame) = parse_frame(line) {
            current = frame;
        } else if let Some(address) = instruction_pointer(line) {
            current.address = address;
        }
    }
    threads
}

/// ` 0  module!function [file : line + 0x1]`, ` 0  module!function + 0x1`, ` 0  module + 0x1`.
fn parse_frame(line: &str) -> Option<Frame> {
    let (number, rest) = line.trim_start().split_once("  ")?;
    number.parse::<usize>().ok()?;
    let (name, place) = match rest.rsplit_once(" [") {
        Some((name, place)) => (name, place.rsplit_once(" + ")?.0.replace(" : ", ":")),
        None => (rest.rsplit_once(" + ").map_or(rest, |(name, _)| name), String::new()),
    };
    let (module, function) = name.split_once('!').unwrap_or((name, ""));
    let module = if module.starts_with("0x") { "" } else { module };
    Some(Frame { module: module.into(), function: function.into(), place, address: 0 })
}

fn instruction_pointer(line: &str) -> Option<u64> {
    let words: Vec<_> = line.split_whitespace().collect();
    let at = words.windows(2).position(|pair| ["eip", "rip", "pc"].contains(&pair[0]))?;
    u64::from_str_radix(words.get(at + 2)?.trim_start_matches("0x"), 16).ok()
}
