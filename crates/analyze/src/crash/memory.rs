//! Detectors: what the memory map says of the address.

use super::access::{NULL_PAGES, Use};
use super::fault::Fault;
use super::finding::{Confidence, Finding};
use super::pointers;
use super::scene::Scene;

/// How far behind the end of memory an overrun is looked for.
const MAX_OVERRUN: u64 = 0x1000;

/// The thread's stack was full.
pub(crate) fn stack_overflow(scene: &Scene<'_>) -> Option<Finding> {
    let found = scene.told("stack_overflow")?;
    let number = |key: &str| found.get(key).and_then(serde_json::Value::as_u64);
    let mut evidence = Vec::new();
    if let Some(used) = number("stack_bytes") {
        evidence.push(format!("{used} bytes of the stack are in use"));
    }
    if let Some(limit) = number("limit_bytes") {
        evidence.push(format!("its size is {limit} bytes"));
    }
    if scene.fault == Fault::StackOverflow {
        evidence.push("the system itself says so: STATUS_STACK_OVERFLOW".into());
    } else if let Some(sp) = scene.sp() {
        let address = scene.address;
        evidence
            .push(format!("the address {address:#x} is below the stack, whose pointer is {sp:#x}"));
    }
    let title = "The thread's stack is full: endless recursion, or large local variables";
    Some(Finding::new("stack_overflow", Confidence::High, title, evidence))
}

/// A mapping that is there to be hit.
pub(crate) fn guard_page(scene: &Scene<'_>) -> Option<Finding> {
    if !scene.is_access() || scene.told("stack_overflow").is_some() {
        return None;
    }
    let guard = scene.map.guard_page(scene.address)?;
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.push(format!(
        "{:#x} is in {}, beside memory with rights",
        scene.address,
        guard.words()
    ));
    let title = "Access to a guard page: a buffer was overrun, or a stack";
    Some(Finding::new("guard_page", Confidence::Medium, title, evidence))
}

/// Memory that is there, and may not be used so.
pub(crate) fn forbidden(scene: &Scene<'_>) -> Option<Finding> {
    let usage = scene.usage().filter(|usage| *usage != Use::Execute)?;
    let region = scene.map.at(scene.address)?;
    if scene.address < NULL_PAGES
        || region.allows(usage)
        || scene.map.guard_page(scene.address).is_some()
    {
        return None;
    }
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.push(format!("{} is in {}", scene.place_words(scene.address), region.words()));
    let title = match usage {
        Use::Write if region.readable => "Write to memory that is read-only",
        _ => "Access to memory that gives no right to it",
    };
    Some(Finding::new("protected_memory", Confidence::High, title, evidence))
}

/// Memory that is not there.
pub(crate) fn unmapped(scene: &Scene<'_>) -> Option<Finding> {
    let address = scene.address;
    let is_told = !scene.is_protection_fault() && !scene.is_unresolved();
    let is_known = scene.is_access() && !scene.map.is_empty() && is_told;
    if !is_known || address < NULL_PAGES || scene.is_fetch() || scene.map.at(address).is_some() {
        return None;
    }
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    let below = scene.map.before(address).filter(|region| region.is_accessible());
    match below.map(|region| (region, address.saturating_sub(region.last))) {
        Some((region, distance)) if distance <= MAX_OVERRUN => {
            let words = region.words();
            evidence.push(format!("{address:#x} is {distance} bytes behind the end of {words}"));
            let title = "Access behind the end of a mapping: a buffer was overrun";
            Some(Finding::new("overrun", Confidence::Medium, title, evidence))
        }
        _ => {
            evidence.extend(address_words(scene));
            evidence.push(format!("no mapping holds {address:#x}"));
            let title = "Access to memory that is not mapped: a wild pointer, or memory given back";
            Some(Finding::new("unmapped_memory", Confidence::Low, title, evidence))
        }
    }
}

/// What the address tells by itself.
fn address_words(scene: &Scene<'_>) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(access) = scene.failed_access() {
        words.extend(pointers::registers_words(scene, access));
    }
    if scene.is_fixed_address() {
        words.push("the address stands in the instruction".to_owned());
    }
    if scene.is_of_kernel(scene.address) {
        words.push(format!("{:#x} is in the kernel's half of the addresses", scene.address));
    }
    words
}

/// A pointer of which nothing is known but that it is wrong.
pub(crate) fn wild(scene: &Scene<'_>) -> Option<Finding> {
    let is_known = scene.usage().is_some_and(|usage| usage != Use::Execute);
    let is_pointer = scene.address >= NULL_PAGES && !scene.is_non_canonical(scene.address);
    if !is_known || !scene.map.is_empty() || !is_pointer {
        return None;
    }
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.extend(address_words(scene));
    evidence.push("the dump has no memory map".to_owned());
    let title = "A pointer that is wrong: memory given back, or never a pointer";
    Some(Finding::new("wild_pointer", Confidence::Low, title, evidence))
}

/// The file behind a mapping could not be read.
pub(crate) fn paging(scene: &Scene<'_>) -> Option<Finding> {
    if scene.fault != Fault::Paging {
        return None;
    }
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.push(format!("the address is {}", scene.place_words(scene.address)));
    if let Some(status) = scene.parameters.get(2) {
        evidence.push(format!("the system gives the NTSTATUS {status:#x}"));
    }
    let title = "The file behind the memory could not be read: it was cut, or the disk failed";
    Some(Finding::new("mapped_file", Confidence::High, title, evidence))
}
