//! Real dumps of other writers, against what others say of them.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

#[path = "support/corpus.rs"]
mod corpus;

use std::collections::BTreeSet;
use std::path::Path;

use lastwords_analyze::{Options, analyze_bytes, analyze_file};
use serde_json::Value;

use corpus::{corpus, rows};

const RUST_MINIDUMP: &str = "files/rust-minidump+rust-minidump";
const BREAKPAD: &str = "files/google+breakpad/src/processor/testdata";
const LLDB: &str =
    "files/llvm-mirror+lldb/packages/Python/lldbsuite/test/functionalities/postmortem/minidump-new";

fn analyze(root: &Path, dump: &str, symbols: &[&str]) -> Value {
    let options = Options {
        symbols: symbols.iter().map(|path| root.join(path)).collect(),
        local_modules: false,
        ..Options::default()
    };
    let path = root.join(dump);
    let bytes = std::fs::read(&path).unwrap();
    analyze_bytes(&path, bytes, &options).unwrap()
}

fn functions(thread: &Value) -> Vec<String> {
    let frames = thread["frames"].as_array().unwrap();
    frames.iter().map(|frame| frame["function"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn linux_x86_64_has_the_reason_the_address_and_the_inlined_calls() {
    let Some(root) = corpus() else { return };
    let ours = analyze(
        &root,
        &format!("{RUST_MINIDUMP}/testdata/linux-mini.dmp"),
        &["files/getsentry+symbolic/symbolic-testutils/fixtures/linux"],
    );
    let frame = &ours["crashing_thread"]["frames"][0];
    assert_eq!(frame["function"], "main");
    let inlines: Vec<_> =
        frame["inlines"].as_array().unwrap().iter().map(|i| i["function"].as_str()).collect();
    assert_eq!(inlines, [Some("crash"), Some("start")]);
    assert_eq!(ours["crash_info"]["memory_accesses"][0]["access_type"], "write");
    assert_eq!(ours["crash_info"]["memory_accesses"][0]["size"], 4);
}

#[test]
fn windows_x64_has_what_its_tests_assert() {
    let Some(root) = corpus() else { return };
    let ours = analyze(&root, &format!("{RUST_MINIDUMP}/testdata/stability-report.dmp"), &[]);
    assert_eq!(ours["crash_info"]["type"], "EXCEPTION_ACCESS_VIOLATION_WRITE");
    assert_eq!(ours["system_info"]["cpu_arch"], "amd64");
    assert_eq!(ours["system_info"]["os"], "Windows NT");
    let tiny = analyze(&root, &format!("{BREAKPAD}/tiny-exe-with-cet-xsave.dmp"), &[]);
    assert_eq!(tiny["system_info"]["os_ver"], "10.0.22000 282");
    assert_eq!(tiny["threads"].as_array().unwrap().len(), 1);
    assert_eq!(tiny["crash_info"]["type"], Value::Null);
}

#[test]
fn the_facts_of_expected_tsv_hold() {
    let Some(root) = corpus() else { return };
    let crash = analyze(&root, &format!("{LLDB}/linux-x86_64.dmp"), &[LLDB]);
    assert_eq!(crash["pid"], 29917);
    assert_eq!(crash["threads"].as_array().unwrap().len(), 1);
    assert!(crash["crash_info"]["type"].as_str().unwrap().starts_with("SIGSEGV"));
    assert_eq!(functions(&crash["crashing_thread"])[..2], ["crash()", "_start"]);

    let living = analyze(&root, &format!("{LLDB}/linux-x86_64_not_crashed.dmp"), &[LLDB]);
    assert_eq!(living["pid"], 29939);
    assert_eq!(living["crash_info"]["type"], "DUMP_REQUESTED");
    let stack = functions(&living["threads"][0]);
    let named: Vec<_> = stack.iter().filter(|name| name.as_str() != "-").collect();
    assert!(named.iter().any(|name| name.starts_with("bar")), "{named:?}");

    let address = analyze(&root, &format!("{BREAKPAD}/minidump_32bit_crash_addr.dmp"), &[]);
    assert_eq!(address["crash_info"]["address"], "0x00000045");
    assert_eq!(address["crash_info"]["type"], "EXCEPTION_ACCESS_VIOLATION_WRITE");

    let i386 = analyze(
        &root,
        "files/llvm-mirror+lldb/unittests/Process/minidump/Inputs/linux-i386.dmp",
        &[],
    );
    let registers = &i386["crashing_thread"]["frames"][0]["registers"];
    assert_eq!(registers["eip"], "0x080482a0");
    assert_eq!(registers["esp"], "0xff9dd52c");
    assert_eq!(registers["ebp"], "0xff9dd53c");
}

#[test]
fn annotations_of_crashpad_are_there() {
    let Some(root) = corpus() else { return };
    let crashpad = analyze(&root, &format!("{RUST_MINIDUMP}/testdata/simple-crashpad.dmp"), &[]);
    assert_eq!(crashpad["annotations"]["hello"], "world");
    let modules = crashpad["crashpad"]["modules"].as_array().unwrap();
    let module = modules.iter().find(|module| module["module_index"] == 16).unwrap();
    assert_eq!(module["list_annotations"][0], "abort() called");
    assert_eq!(modules.len(), 2);
    for (name, kind, pid) in [("gpu", "gpu-process", "11793"), ("node", "node", "12259")] {
        let dump = format!("files/aprilandjan+node-rs-minidump/fixtures/mac-electron-{name}.dmp");
        let ours = analyze(&root, &dump, &[]);
        assert_eq!(ours["annotations"]["process_type"], kind);
        assert_eq!(ours["annotations"]["pid"], pid);
    }
}

#[test]
fn every_dump_has_the_reason_and_threads_that_breakpad_found() {
    let Some(root) = corpus() else { return };
    let mut checked = 0;
    for row in rows(&root) {
        let reference = root.join(format!("reference/breakpad/{}.machine.txt", row.tail()));
        if row.kind != "dump" || row.format != "minidump" || !reference.is_file() {
            continue;
        }
        let ours = analyze(&root, &row.file, &[]);
        let theirs = std::fs::read_to_string(reference).unwrap();
        check_against_breakpad(&row.file, &ours, &theirs);
        checked += 1;
    }
    assert!(checked > 30, "{checked} dumps");
}

fn check_against_breakpad(file: &str, ours: &Value, theirs: &str) {
    let Some(crash) = theirs.lines().find(|line| line.starts_with("Crash|")) else { return };
    let parts: Vec<_> = crash.split('|').collect();
    let reason = ours["crash_info"]["type"].as_str().unwrap_or("No crash");
    let signal = parts[1].split([' ', '/']).next().unwrap();
    // Breakpad names no macOS reasons of dumps that were asked for, nor NT statuses.
    let is_named = !signal.is_empty() && !signal.starts_with("0x") && signal != "No";
    if is_named {
        assert!(reason.starts_with(signal), "{file}: {reason} instead of {}", parts[1]);
        assert_eq!(ours["crash_info"]["crashing_thread"].to_string(), parts[3], "{file}");
    }
    let threads: BTreeSet<_> = theirs
        .lines()
        .map(|line| line.split('|').collect::<Vec<_>>())
        .filter(|parts| parts.len() == 7)
        .map(|parts| parts[0].to_owned())
        .collect();
    let count = ours["threads"].as_array().unwrap().len();
    assert!(threads.len() <= count, "{file}: {count} threads instead of {}", threads.len());
}

#[test]
fn other_files_of_the_corpus_are_called_by_their_kind() {
    let Some(root) = corpus() else { return };
    let mut seen = BTreeSet::new();
    for row in rows(&root).into_iter().filter(|row| row.format == "elf-core") {
        let error = analyze_file(&root.join(&row.file), b"").unwrap_err();
        assert_eq!(error.code(), "dump_not_a_minidump");
        seen.insert(error.message().split("this is ").nth(1).unwrap().to_owned());
    }
    let expected = "an ELF core file; expected a minidump, which starts with `MDMP`";
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [expected]);
}

#[test]
fn the_assertion_of_an_invalid_parameter_is_told() {
    let Some(root) = corpus() else { return };
    let document = analyze(&root, &format!("{RUST_MINIDUMP}/testdata/invalid-parameter.dmp"), &[]);
    let assertion = document["crash_info"]["assertion"].as_str().unwrap();
    assert!(assertion.starts_with("invalid parameter: "), "{assertion}");
    assert!(assertion.contains("format != nullptr"), "{assertion}");
    assert!(assertion.contains("common_vfprintf") && assertion.contains(":32)"), "{assertion}");
}
