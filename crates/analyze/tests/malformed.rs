//! Every malformed file of the corpus, given to everything that reads foreign files: an orderly error
//! or a partial result, in less than 2 s and 200 MB.
//!
//! Each file is read in a process of its own, this test program again, so that what it takes can be
//! measured, and so that nothing can hide behind another file.
#![cfg(target_os = "linux")]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

#[path = "support/corpus.rs"]
mod corpus;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use lastwords_analyze::{Error, analyze_file};
use lastwords_convert::{
    FileKind, core_to_minidump, kind_of, microdump_to_minidump, minidump_to_core,
};
use lastwords_debuginfo::DebugInfo;
use lastwords_symbols::ModuleSymbols;
use serde_json::json;

use corpus::{corpus, rows};

const MAX_TIME_MS: u128 = 2_000;
const MAX_MEMORY_KB: u64 = 200_000;
/// The file that a child reads.
const FILE: &str = "LASTWORDS_MALFORMED_FILE";
/// A dump that is whole, to be analysed with the file as its symbols.
const DUMP: &str = "files/getsentry+symbolic/symbolic-testutils/fixtures/linux/mini.dmp";

#[test]
fn every_malformed_file_is_refused_or_partly_read_in_bounds() {
    let Some(root) = corpus() else { return };
    let mut outcomes = Vec::new();
    for row in rows(&root).into_iter().filter(|row| row.kind == "malformed") {
        let started = Instant::now();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_file_is_read", "--nocapture"])
            .env(FILE, root.join(&row.file))
            .output()
            .unwrap();
        let time_ms = started.elapsed().as_millis();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = |key: &str| {
            let line = text.lines().find_map(|line| line.split_once(key)).map(|(_, rest)| rest);
            line.unwrap_or_else(|| panic!("{}: {text}", row.file)).to_owned()
        };
        let (code, memory_kb) = (said("analysis: "), said("memory in KB: "));
        println!("{}: {code}, {time_ms} ms, {memory_kb} KB", row.file);
        assert!(output.status.success(), "{}: {text}", row.file);
        assert!(time_ms < MAX_TIME_MS, "{}: {time_ms} ms", row.file);
        assert!(memory_kb.parse::<u64>().unwrap() < MAX_MEMORY_KB, "{}: {memory_kb} KB", row.file);
        outcomes.push((row.file, code));
    }
    let is = |end: &str, code: &str| {
        outcomes.iter().any(|(file, found)| file.ends_with(end) && found == code)
    };
    assert!(is("broken.core.dmp", "dump_malformed"));
    assert!(is("empty.core.dmp", "dump_not_a_minidump"));
    assert!(is("other.dSYM/Contents/Resources/DWARF/invalid", "dump_empty"));
    assert!(is("_issues/381-oom.dmp", "dump_malformed"));
    assert!(is("bad_duplicate_streams.dmp", "read"));
    assert!(outcomes.len() > 30, "{}", outcomes.len());
}

/// The child: does nothing unless it is told a file.
#[test]
fn one_file_is_read() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let options = json!({"local_modules": false}).to_string();
    match analyze_file(&file, options.as_bytes()) {
        Ok(_) => println!("analysis: read"),
        Err(error @ Error::Internal { .. }) => panic!("{error}"),
        Err(error) => println!("analysis: {}", error.code()),
    }
    read_as_symbols(&file);
    convert(&file);
    if let Some(dump) = corpus().map(|root| root.join(DUMP)) {
        let options = json!({"local_modules": false, "symbols": [file]}).to_string();
        analyze_file(&dump, options.as_bytes()).unwrap();
    }
    println!("memory in KB: {}", peak_memory_kb());
}

fn read_as_symbols(file: &Path) {
    let symbols = ModuleSymbols::open(file);
    for rva in (0..0x10_0000).step_by(0x101) {
        let _ = symbols.lookup(rva);
    }
    if let Ok(header) = symbols.sym_header(Some("module")) {
        let _ = symbols.write_sym(&header, &mut std::io::sink());
    }
    let info = DebugInfo::open(&[file.to_owned()]);
    let _ = (info.names_like("*", 1000), info.types_like("*", 100), info.around(0x1000));
}

fn convert(file: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("converted");
    let _ = match kind_of(file) {
        Ok(FileKind::Minidump) => minidump_to_core(file, &to),
        Ok(FileKind::Core) => core_to_minidump(file, &to, "mini"),
        Ok(FileKind::Microdump) => microdump_to_minidump(file, &to),
        Err(_) => return,
    };
}

fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
