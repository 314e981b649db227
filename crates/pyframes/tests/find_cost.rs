//! What the search for the interpreter costs, in reads and bytes, which are the same on every run;
//! the time is printed (`--release -- --nocapture`).
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "find/programs.rs"]
mod programs;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lastwords_pyframes::find::{Found, ProcessFiles, Way, find_within};
use programs::{BARE, Folder, Waiting, compiled, disguised, shared, unhurried};
use support::counting::Counting;

struct Cost {
    found: Vec<Found>,
    reads: usize,
    bytes: usize,
    time: Duration,
}

fn measure(what: &str, process: &Waiting) -> Cost {
    let memory = process.memory();
    let counting = Counting::new(&memory);
    let files = ProcessFiles::new(process.pid(), &process.mappings);
    let started = support::thread_time();
    let found = find_within(&counting, &process.mappings, &files, &unhurried());
    let time = support::thread_time() - started;
    let (reads, bytes, mappings) =
        (counting.reads.get(), counting.bytes.get(), process.mappings.len());
    let kib = bytes / 1024;
    println!(
        "{what}: {mappings} mappings, {reads} reads, {kib} KiB, {time:?}, {:?}",
        found.first()
    );
    Cost { found, reads, bytes, time }
}

/// Libraries of this machine, large and small ones.
fn libraries() -> Vec<PathBuf> {
    let folder = Path::new("/usr/lib/x86_64-linux-gnu");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_plain = |path: &PathBuf| {
        name(path).is_some_and(|name| {
            name.contains(".so.") && !name.contains("python") && !name.contains("asan")
        })
    };
    let mut found: Vec<PathBuf> = files.filter(is_plain).collect();
    found.sort();
    found
}

#[test]
fn a_process_of_something_else_costs_little() {
    let mut command = Command::new(compiled("crowd"));
    let process = Waiting::start(command.arg("60").args(libraries()));
    assert!(process.mappings.len() >= 200, "{} mappings", process.mappings.len());
    let cost = measure("no Python", &process);
    assert_eq!(cost.found, []);
    let most = 10 * process.mappings.len();
    assert!(cost.reads <= most, "{} reads; {most} are enough", cost.reads);
    assert!(cost.bytes <= 4 << 20, "{} bytes", cost.bytes);
    assert!(cost.time < Duration::from_secs(2), "{:?}", cost.time);
}

#[test]
fn what_each_way_costs() {
    for shared in shared() {
        let program = &shared.interpreter.executable;
        let cost = measure("symbol", &Waiting::python(program, &[], &shared.home));
        assert_eq!(cost.found[0].way, Way::DynamicSymbol);
        assert!(cost.bytes < 8 << 20, "{} bytes", cost.bytes);
        let folder = Folder::new();
        let copy = folder.path("engine.so");
        disguised(&shared.library, &copy, BARE);
        let process = Waiting::python(&compiled("host"), &[&copy], &shared.home);
        let cost = measure("scan", &process);
        assert_eq!(cost.found.len(), 1);
        assert!(cost.bytes < 64 << 20, "{} bytes", cost.bytes);
    }
}
