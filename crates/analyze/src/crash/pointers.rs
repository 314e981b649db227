//! Detectors: what was wrong with a pointer.

use super::access::{Accessed, NULL_PAGES};
use lastwords_disasm::Flow;

use super::finding::{Confidence, Finding};
use super::poison;
use super::scene::Scene;

/// A pointer that was null, perhaps with an offset, or a small number in place of a pointer.
pub(crate) fn null(scene: &Scene<'_>) -> Option<Finding> {
    if !scene.is_access() || scene.is_fetch() || scene.is_unresolved() {
        return None;
    }
    let failed = scene.failed_access();
    let base = failed.and_then(|access| access.place.base.as_deref());
    let is_base_null = base.is_some_and(|base| scene.register(base) == Some(0));
    if !is_base_null && scene.address >= NULL_PAGES {
        return None;
    }
    let mut evidence = Vec::new();
    evidence.extend(scene.instruction_words());
    let confidence = match (failed, base) {
        (Some(_), Some(base)) if is_base_null => {
            evidence.push(format!("{base} is 0, and the base of the address"));
            Confidence::High
        }
        (Some(access), None) if access.place.index.is_none() => {
            let hint = "a constant null pointer, or a crash on purpose";
            evidence.push(format!("the address stands in the instruction: {hint}"));
            Confidence::High
        }
        (Some(access), _) => {
            evidence.extend(registers_words(scene, access));
            return Some(small_number(scene, evidence));
        }
        (None, _) => {
            if scene.instruction.is_none() {
                evidence.push("the dump does not hold the instruction".to_owned());
            }
            Confidence::Medium
        }
    };
    evidence.push(format!("the address is {:#x}", scene.address));
    Some(Finding::new("null_pointer", confidence, null_title(scene), evidence))
}

fn null_title(scene: &Scene<'_>) -> String {
    let word = scene.usage().map_or("Use", |usage| match usage.word() {
        "read" => "Read",
        "write" => "Write",
        _ => "Use",
    });
    match scene.address {
        0 => format!("{word} through a null pointer"),
        offset if offset < NULL_PAGES => {
            format!("{word} through a null pointer, offset {offset:#x}")
        }
        offset => format!("{word} through a null pointer, with an index far from it: {offset:#x}"),
    }
}

fn small_number(scene: &Scene<'_>, mut evidence: Vec<String>) -> Finding {
    let address = scene.address;
    evidence.push(format!("the address {address:#x} is too small to be mapped"));
    let title = format!("A small number in place of a pointer: {address:#x}");
    Finding::new("small_pointer", Confidence::Medium, title, evidence)
}

pub(crate) fn registers_words(scene: &Scene<'_>, access: &Accessed) -> Option<String> {
    let words: Vec<_> =
        access.place.registers().filter_map(|name| scene.register_words(name)).collect();
    (!words.is_empty()).then(|| format!("the address is made of {}", words.join(", ")))
}

/// A negative number in place of a pointer, or a null pointer with an index below it.
pub(crate) fn negative(scene: &Scene<'_>) -> Option<Finding> {
    let top = if scene.pointer_bytes() == 4 { u64::from(u32::MAX) } else { u64::MAX };
    let below = top.checked_sub(scene.address)?.checked_add(1)?;
    let is_one = scene.is_access() && !scene.is_unresolved() && below <= NULL_PAGES;
    if !is_one || null(scene).is_some() {
        return None;
    }
    let mut evidence: Vec<String> = scene.instruction_words().into_iter().collect();
    evidence.extend(scene.failed_access().and_then(|access| registers_words(scene, access)));
    evidence.push(format!("the address {:#x} is -{below:#x}", scene.address));
    let title = "A negative number in place of a pointer: an error code, or an index below null";
    Some(Finding::new("negative_pointer", Confidence::Medium, title, evidence))
}

/// Values that could be the pointer that was used, and what they are called.
fn used_pointers(scene: &Scene<'_>) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    if let Some(access) = scene.failed_access() {
        for name in access.place.registers() {
            all.extend(scene.register(name).map(|value| (name.to_owned(), value)));
        }
    }
    if !scene.is_unresolved() {
        all.push(("the address".to_owned(), scene.address));
    }
    if scene.is_fetch() {
        all.extend(scene.ip().map(|ip| ("the instruction pointer".to_owned(), ip)));
    }
    let is_fixed = scene.instruction.as_ref().is_none_or(|one| matches!(one.flow, Flow::To(_)));
    let target = scene.target.filter(|_| !is_fixed);
    all.extend(target.map(|target| ("the target of the branch".to_owned(), target)));
    all
}

/// A pointer that was read from memory that is filled with a pattern.
pub(crate) fn poisoned(scene: &Scene<'_>) -> Option<Finding> {
    if !scene.is_access() {
        return None;
    }
    let width = scene.pointer_bytes();
    let found = used_pointers(scene)
        .into_iter()
        .find_map(|(name, value)| Some((name, value, poison::find(value, width)?)));
    let (name, value, hit) = found?;
    let mut evidence = vec![format!("{name} is {value:#x}: {}", hit.pattern.meaning)];
    if hit.distance != 0 {
        evidence.push(format!(
            "that is {:#x} {} the pattern",
            hit.distance.unsigned_abs(),
            side(hit.distance)
        ));
    }
    evidence.extend(scene.instruction_words());
    let confidence = if hit.distance == 0 && hit.pattern.is_distinct {
        Confidence::High
    } else {
        Confidence::Medium
    };
    Some(Finding::new(hit.pattern.code, confidence, hit.pattern.title, evidence))
}

fn side(distance: i64) -> &'static str {
    if distance < 0 { "below" } else { "above" }
}

/// A pointer that was overwritten by text.
pub(crate) fn text(scene: &Scene<'_>) -> Option<Finding> {
    if !scene.is_access() {
        return None;
    }
    let width = scene.pointer_bytes();
    let (name, value, text) = used_pointers(scene).into_iter().find_map(|(name, value)| {
        let is_mapped = scene.map.at(value).is_some_and(|region| region.is_accessible());
        let text = letters(value, width).filter(|_| !is_mapped)?;
        poison::find(value, width).is_none().then_some((name, value, text))
    })?;
    let mut evidence = vec![format!("{name} is {value:#x}, in memory the text \"{text}\"")];
    evidence.extend(scene.instruction_words());
    let confidence = if text.len() > 6 { Confidence::High } else { Confidence::Medium };
    let title = "A pointer was overwritten by text";
    Some(Finding::new("text_as_pointer", confidence, title, evidence))
}

/// The bytes of a pointer as text, when they are some: all 4, or the lowest 6 of 8 and more.
///
/// Linux maps programs and their heaps at 0x55… and 0x56…, whose first byte is a letter too.
fn letters(value: u64, width: usize) -> Option<String> {
    let bytes = value.to_le_bytes();
    let used = bytes.get(..width)?;
    let is_letter = |byte: &u8| (0x20..0x7f).contains(byte);
    let count = used.iter().take_while(|byte| is_letter(byte)).count();
    let rest = used.get(count..)?;
    let is_like_heap = count == 6 && matches!(used.get(5), Some(0x55 | 0x56));
    let is_text = count >= width.min(6) && rest.iter().all(|byte| *byte == 0) && !is_like_heap;
    is_text.then(|| used.iter().take(count).map(|byte| char::from(*byte)).collect())
}

/// An address that no pointer can have.
pub(crate) fn non_canonical(scene: &Scene<'_>) -> Option<Finding> {
    if !scene.is_access() || !scene.is_non_canonical(scene.address) {
        let is_one = scene.is_protection_fault() && scene.is_unresolved();
        return (is_one && scene.instruction.is_none()).then(unknown_address);
    }
    let address = scene.address;
    let mut evidence = Vec::new();
    evidence.extend(scene.instruction_words());
    evidence.push(format!("it used {address:#x}, of which bits 48 to 63 do not repeat bit 47"));
    evidence.extend(scene.failed_access().and_then(|access| registers_words(scene, access)));
    let title = format!("An address that cannot exist: {address:#x} (not canonical)");
    Some(Finding::new("non_canonical_address", Confidence::Medium, title, evidence))
}

fn unknown_address() -> Finding {
    let evidence = vec![
        "the processor raised a general protection fault, of which systems tell no address".into(),
        "the dump does not hold the instruction".into(),
    ];
    let title = "Most likely an address that cannot exist; which one is not known";
    Finding::new("non_canonical_address", Confidence::Low, title, evidence)
}
