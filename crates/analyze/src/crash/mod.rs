//! Crash facts: what the instruction did, the likely causes with their evidence, and whether an
//! attacker could use it (`docs/formats/analysis.md`, `crash_info`).
//!
//! Owns: the keys of minidump-stackwalk's `crash_info` where it leaves them empty ([`keys`]), one
//! small detector per cause, the rating ([`exploitability`]). Does not own: whether a stack was full
//! (`overflow`), exceptions of C++ (`throws`), assertions (`assertion`); it reads what they found.

mod access;
mod bit_flips;
mod execution;
mod exploitability;
mod fault;
mod finding;
mod hardware;
mod keys;
mod map;
mod memory;
mod pointers;
mod poison;
mod said;
mod scene;

use minidump::{Minidump, MinidumpModuleList};
use serde_json::{Map, Value, json};

use crate::panics::caught;
use crate::soft_errors::SoftErrors;
use crate::state::Threads;
use fault::Fault;
use finding::Finding;
use scene::{CodeOfFile, Scene};

type Detector = fn(&Scene<'_>) -> Option<Finding>;

/// In the order in which findings of one confidence are told: what was said first, then what
/// explains most.
const DETECTORS: &[Detector] = &[
    said::out_of_memory,
    said::stack_protector,
    said::heap,
    said::assertion,
    said::cpp_exception,
    said::runtime,
    memory::stack_overflow,
    pointers::poisoned,
    execution::null_call,
    pointers::null,
    execution::jump_to_non_code,
    pointers::text,
    execution::division,
    execution::privileged,
    execution::misaligned,
    execution::illegal_instruction,
    execution::breakpoint,
    memory::paging,
    memory::forbidden,
    memory::guard_page,
    hardware::inconsistent,
    hardware::bit_flip,
    pointers::non_canonical,
    pointers::negative,
    memory::unmapped,
    memory::wild,
    said::ended,
    said::python_exception,
];

/// Causes that say less than any other one, and are left out beside it.
const LAST_RESORT: &[&str] =
    &["unmapped_memory", "wild_pointer", "abort", "fail_fast", "non_canonical_address"];

/// Fills `crash_info`: the instruction's keys, `access`, `exception`, `findings`, `exploitability`.
pub(crate) fn complete(
    document: &mut Map<String, Value>,
    dump: &Minidump<'_, &[u8]>,
    threads: &Threads<'_>,
    modules: &MinidumpModuleList,
    code_of_file: CodeOfFile<'_>,
    soft_errors: &mut SoftErrors,
) {
    let Some(Value::Object(crash)) = document.get("crash_info") else { return };
    let mut crash = crash.clone();
    match caught(|| facts(document, dump, threads, modules, code_of_file)) {
        Ok(Some(facts)) => crash = facts,
        Ok(None) => {
            crash.insert("findings".into(), json!([]));
            crash.insert("exploitability".into(), Value::Null);
        }
        Err(problem) => {
            let message = format!("the likely causes could not be found: {problem}");
            soft_errors.push("crash_analysis_failed", "stream Exception", message);
        }
    }
    document.insert("crash_info".into(), Value::Object(crash));
}

/// The whole `crash_info`; `None` where nothing crashed.
fn facts(
    document: &Map<String, Value>,
    dump: &Minidump<'_, &[u8]>,
    threads: &Threads<'_>,
    modules: &MinidumpModuleList,
    code_of_file: CodeOfFile<'_>,
) -> Option<Map<String, Value>> {
    let mut scene = Scene::read(dump, threads, modules, document, code_of_file)?;
    if scene.fault == Fault::Requested {
        return None;
    }
    let mut crash = scene.crash.clone();
    keys::complete(&mut crash, &scene);
    scene.crash = crash;
    let findings = findings(&scene);
    let exploitability = exploitability::rate(&scene, &findings);
    let mut crash = scene.crash;
    crash.insert("findings".into(), json!(findings));
    crash.insert("exploitability".into(), exploitability);
    Some(crash)
}

fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let found = DETECTORS.iter().filter_map(|detector| detector(scene));
    let mut found: Vec<Finding> = found.collect();
    found.sort_by_key(|finding| finding.confidence);
    let is_hint = |code| LAST_RESORT.contains(&code) || code == "python_exception";
    let has_better = found.iter().any(|finding| !is_hint(finding.code));
    found.retain(|finding| !(has_better && LAST_RESORT.contains(&finding.code)));
    found
}
