//! Detectors: what a healthy machine does not do.

use serde_json::Value;

use lastwords_disasm::Kind;

use super::fault::Fault;
use super::finding::{Confidence, Finding};
use super::memory;
use super::pointers;
use super::scene::Scene;

/// minidump-stackwalk's number for a flip that speaks for itself.
const LIKELY: f64 = 0.7;
const POSSIBLE: f64 = 0.5;

/// One bit of a pointer is another than it was.
pub(crate) fn bit_flip(scene: &Scene<'_>) -> Option<Finding> {
    let is_explained = !scene.is_access()
        || scene.is_unresolved()
        || scene.is_access_impossible()
        || memory::unmapped(scene).is_some_and(|finding| finding.code == "overrun")
        || pointers::null(scene).is_some()
        || pointers::poisoned(scene).is_some()
        || scene.told("stack_overflow").is_some();
    if is_explained {
        return None;
    }
    let flips = scene.told("possible_bit_flips")?.as_array()?;
    let best = flips.iter().filter(|flip| confidence(flip) >= POSSIBLE);
    let best = best.max_by(|a, b| confidence(a).total_cmp(&confidence(b)))?;
    let corrected = best.get("address").and_then(Value::as_str)?;
    let of = best.get("source_register").and_then(Value::as_str);
    let of = of.map_or_else(
        || format!("the address {:#x}", scene.address),
        |name| scene.register_words(name).unwrap_or_else(|| name.to_owned()),
    );
    let near = best.pointer("/details/nearby_registers").and_then(Value::as_u64);
    let mut evidence =
        vec![format!("with one bit changed, {of} would be {corrected}, which is mapped")];
    if let Some(near) = near.filter(|near| *near > 0) {
        evidence.push(format!("{near} registers hold addresses near that one"));
    }
    evidence.push(format!("minidump-stackwalk's measure of it is {:.2}", confidence(best)));
    let sure = if confidence(best) >= LIKELY { Confidence::Medium } else { Confidence::Low };
    let title = "A flipped bit: defective memory, or one of many wrong values";
    Some(Finding::new("bit_flip", sure, title, evidence))
}

fn confidence(flip: &Value) -> f64 {
    flip.get("confidence").and_then(Value::as_f64).unwrap_or(0.0)
}

/// The instruction cannot have raised this exception.
pub(crate) fn inconsistent(scene: &Scene<'_>) -> Option<Finding> {
    let told = scene.told("crash_inconsistencies").and_then(Value::as_array);
    let names: Vec<&str> = told.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut evidence: Vec<String> = names.iter().map(|name| words(name).to_owned()).collect();
    if evidence.is_empty() {
        evidence.extend(own_words(scene));
    }
    if evidence.is_empty() {
        return None;
    }
    evidence.extend(scene.instruction_words());
    let title = "The instruction cannot have raised this exception: defective hardware, \
                 code that changed, or a dump of another moment";
    Some(Finding::new("inconsistent_exception", Confidence::Medium, title, evidence))
}

fn own_words(scene: &Scene<'_>) -> Option<String> {
    let kind = scene.instruction.as_ref()?.kind;
    if scene.fault == Fault::Division && kind != Kind::Division && scene.is_x86() {
        return Some("it is no division".to_owned());
    }
    let address = scene.address;
    scene.is_access_impossible().then(|| format!("none of its operands is at {address:#x}"))
}

fn words(name: &str) -> &str {
    match name {
        "int_div_by_zero_not_possible" => "it is no division",
        "priv_instruction_crash_without_priv_instruction" => "it needs no privilege",
        "non_canonical_address_falsely_reported" => "all of its addresses can exist",
        "access_violation_when_access_allowed" => "the memory map allows the access",
        "crashing_access_not_found_in_memory_accesses" => {
            "none of its operands is at the address that the system tells"
        }
        other => other,
    }
}
