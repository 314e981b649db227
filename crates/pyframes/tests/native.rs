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

use support::{Interpreter, Victim, interpreters, script};

/// Stack ranges of the native evaluation frames by thread, newest first; `None` when there is
/// no GDB.
fn evaluation_frames(
    interpreter: &Interpreter,
    victim: &Victim,
) -> Option<HashMap<u64, Vec<Range<u64>>>> {
    let output = Command::new("gdb")
        .args(["--nx", "--batch", "-iex", "set debuginfod enabled off"])
        .args(roots(interpreter))
        .arg("-p")
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

/// Where GDB finds the program, the libraries and the debug information of an interpreter.
fn roots(interpreter: &Interpreter) -> Vec<String> {
    let Some(root) = &interpreter.root else { return Vec::new() };
    let root = root.display();
    let settings =
        [format!("set sysroot {root}"), format!("set debug-file-directory {root}/usr/lib/debug")];
    let mut arguments: Vec<String> =
        settings.into_iter().flat_map(|setting| ["-iex".to_owned(), setting]).collect();
    arguments.push(interpreter.outside(&interpreter.executable).display().to_string());
    arguments
}

#[test]
fn every_native_evaluation_frame_holds_one_anchor_and_every_anchor_lies_in_one() {
    // 3.9 has no anchors, and GDB sees nothing behind compiled code.
    let is_fit = |known: &Interpreter| known.minor() > 9 && !known.uses_jit;
    for interpreter in interpreters().into_iter().filter(is_fit) {
        let victim = Victim::start(&interpreter, "victim.py", &[]);
        let stream = victim.read().stream;
        victim.resume();
        let Some(native) = evaluation_frames(&interpreter, &victim) else {
            eprintln!("skipped: gdb is not installed");
            return;
        };
        if native.is_empty() {
            eprintln!("skipped: gdb may not attach, or {interpreter:?} has no symbols");
            continue;
        }
        println!("{interpreter:?}: {} threads", native.len());
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
