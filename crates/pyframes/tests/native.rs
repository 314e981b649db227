//! Anchors, compared with the native stacks that GDB sees.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use std::collections::HashMap;
use std::ops::Range;
use std::process::Command;

use support::{Victim, interpreters, script};

/// Stack ranges of the native evaluation frames by thread, newest first; `None` when there is
/// no GDB.
fn evaluation_frames(victim: &Victim) -> Option<HashMap<u64, Vec<Range<u64>>>> {
    let output = Command::new("gdb")
        .args(["--nx", "--batch", "-iex", "set debuginfod enabled off", "-p"])
        .arg(victim.pid().to_string())
        .arg("-x")
        .arg(script("native_frames.py"))
        .output()
        .ok()?;
    let mut threads: HashMap<u64, Vec<Range<u64>>> = HashMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(numbers) = line.strip_prefix("evaluation ") {
            let numbers: Vec<u64> =
                numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
            threads.entry(numbers[0]).or_default().push(numbers[1]..numbers[2]);
        }
    }
    Some(threads)
}

#[test]
fn every_native_evaluation_frame_holds_one_anchor_and_every_anchor_lies_in_one() {
    for interpreter in interpreters() {
        let victim = Victim::start(&interpreter);
        let stream = victim.read().stream;
        victim.resume();
        let Some(native) = evaluation_frames(&victim) else {
            eprintln!("skipped: gdb is not installed");
            return;
        };
        if native.is_empty() {
            eprintln!("skipped: gdb may not attach, or {interpreter:?} has no symbols");
            continue;
        }
        for truth in victim.truth["threads"].as_array().expect("a list") {
            let is_meant = |tstate| truth["tstate"].as_u64() == Some(tstate);
            let thread = stream.threads.iter().find(|thread| is_meant(thread.tstate));
            let mut anchors: Vec<u64> =
                thread.expect("it was read").frames.iter().filter_map(|f| f.anchor).collect();
            anchors.dedup();
            let ranges = &native[&truth["native_id"].as_u64().expect("an id")];
            assert_eq!(anchors.len(), ranges.len(), "{interpreter:?} {}", truth["scenario"]);
            for (anchor, range) in anchors.iter().zip(ranges) {
                assert!(range.contains(anchor), "{anchor:#x} {range:#x?} {}", truth["scenario"]);
            }
        }
    }
}
