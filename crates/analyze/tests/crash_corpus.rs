//! Likely causes and exploitability of real dumps.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};

use lastwords_analyze::{Options, analyze_bytes};
use serde_json::Value;

const BREAKPAD: &str = "files/google+breakpad/src/processor/testdata";

fn corpus() -> Option<PathBuf> {
    lastwords_synth::corpus(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn crash(root: &Path, name: &str) -> Value {
    let options = Options { local_modules: false, ..Options::default() };
    let path = root.join(BREAKPAD).join(name);
    let bytes = std::fs::read(&path).unwrap();
    analyze_bytes(&path, bytes, &options).unwrap()["crash_info"].clone()
}

/// Breakpad's rating where ours is another one, and why.
///
/// Its engine for Linux does not look at the operands: of a read through a null pointer it says
/// `interesting`, and of the same on Windows `none`.
const DIFFERENT: &[(&str, &str)] = &[("linux_null_read_av.dmp", "none")];

#[test]
fn the_rating_is_the_one_that_breakpads_own_tests_assert() {
    let Some(root) = corpus() else { return };
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/EXPECTED.tsv");
    let own = root.join("EXPECTED.tsv");
    let Ok(table) = std::fs::read_to_string(if own.is_file() { own } else { beside }) else {
        return;
    };
    let mut checked = 0;
    for line in table.lines() {
        let parts: Vec<_> = line.split('\t').collect();
        if parts[1] != "breakpad exploitability rating" {
            continue;
        }
        let name = parts[0].rsplit('/').next().unwrap();
        let crash = crash(&root, name);
        let different = DIFFERENT.iter().find(|(of, _)| *of == name);
        let expected = different.map_or_else(|| parts[2].to_lowercase(), |(_, c)| (*c).to_owned());
        assert_eq!(crash["exploitability"]["rating"], expected, "{name}: {crash:#}");
        assert_ne!(crash["exploitability"]["reasons"], Value::Array(Vec::new()));
        checked += 1;
    }
    assert!(checked >= 19, "{checked} dumps");
}

#[test]
fn the_first_cause_is_what_the_names_of_the_dumps_say() {
    let Some(root) = corpus() else { return };
    let cases = [
        ("null_read_av.dmp", "null_pointer", "eax is 0"),
        ("linux_null_dereference.dmp", "null_pointer", "rax is 0"),
        ("linux_null_read_av.dmp", "null_pointer", "stands in the instruction"),
        ("ascii_read_av.dmp", "text_as_pointer", "\\\"AAAA\\\""),
        ("ascii_write_av.dmp", "text_as_pointer", "eax is 0x41414141"),
        ("linux_jmp_to_0.dmp", "null_call", "the instruction pointer is 0x0"),
        ("linux_outside_module.dmp", "jump_to_non_code", "no mapping holds it"),
        ("linux_divide_by_zero.dmp", "division_by_zero", "idiv dword [rbp - 0x4]"),
        ("stack_exhaustion.dmp", "stack_overflow", "STATUS_STACK_OVERFLOW"),
        ("linux_write_to_nonwritable_module.dmp", "protected_memory", "r-x"),
        ("linux_write_to_outside_module.dmp", "unmapped_memory", "0x390000"),
        ("read_av_non_null.dmp", "wild_pointer", "add ebx, dword [eax]"),
    ];
    for (name, code, words) in cases {
        let crash = crash(&root, name);
        let finding = &crash["findings"][0];
        assert_eq!(finding["code"], code, "{name}: {crash:#}");
        let evidence = finding["evidence"].to_string();
        assert!(evidence.contains(words), "{name}: no `{words}` in {evidence}");
    }
}

#[test]
fn the_stack_that_can_be_executed_is_found_in_a_map_that_is_cut() {
    let Some(root) = corpus() else { return };
    let crash = crash(&root, "linux_executable_stack.dmp");
    let reasons = crash["exploitability"]["reasons"].to_string();
    assert!(reasons.contains("the stack can be executed") && reasons.contains("rwx"), "{reasons}");
}
