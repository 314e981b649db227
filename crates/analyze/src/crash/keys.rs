//! Fills the keys of `crash_info` that minidump-stackwalk has, where its own analysis has nothing:
//! it analyses instructions of x86-64 only.

use lastwords_disasm::{Direction, Kind};
use minidump::system_info::{Cpu, Os};
use serde_json::{Map, Value, json};

use super::access::{Accessed, Use};
use super::bit_flips;
use super::fault::Fault;
use super::scene::Scene;

/// Fills what is null, and the direction of accesses that have none.
pub(crate) fn complete(crash: &mut Map<String, Value>, scene: &Scene<'_>) {
    if let Some(instruction) = &scene.instruction {
        fill(crash, "instruction", || instruction.text.as_str().into());
        if !(instruction.has_unknown_accesses && scene.accesses.is_empty()) {
            fill(crash, "memory_accesses", || accesses(scene));
        }
        add_directions(crash, scene);
    }
    if scene.cpu != Cpu::X86_64 {
        if let Some(target) = scene.target {
            let update = || json!({"address": hex(scene, target)});
            fill(crash, "instruction_pointer_update", update);
        }
        add_inconsistencies(crash, scene);
    }
    if let Some(adjusted) = adjusted_address(scene) {
        fill(crash, "adjusted_address", || adjusted);
    }
    if scene.cpu == Cpu::Arm64 && crash.get("adjusted_address").is_none_or(Value::is_null) {
        let flips = bit_flips::find(scene);
        if !flips.is_empty() {
            fill(crash, "possible_bit_flips", || json!(flips));
        }
    }
    crash.insert("access".into(), scene.usage().map(Use::word).into());
    crash.insert("exception".into(), exception(scene));
}

fn fill(crash: &mut Map<String, Value>, key: &str, value: impl FnOnce() -> Value) {
    let entry = crash.entry(key).or_insert(Value::Null);
    if entry.is_null() {
        *entry = value();
    }
}

/// As wide as an address of the machine.
pub(crate) fn hex(scene: &Scene<'_>, value: u64) -> String {
    if scene.pointer_bytes() == 4 { format!("{value:#010x}") } else { format!("{value:#018x}") }
}

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Read => "read",
        Direction::Write => "write",
        Direction::ReadWrite => "readwrite",
    }
}

fn accesses(scene: &Scene<'_>) -> Value {
    scene.accesses.iter().map(|access| access_json(scene, access)).collect()
}

fn access_json(scene: &Scene<'_>, access: &Accessed) -> Value {
    let size = (access.size_bytes != 0).then_some(access.size_bytes);
    let mut value = json!({
        "address": hex(scene, access.address),
        "size": size,
        "access_type": direction_word(access.direction),
    });
    if let (Some(_), Some(object)) = (scene.map.guard_page(access.address), value.as_object_mut()) {
        object.insert("is_likely_guard_page".into(), true.into());
    }
    value
}

/// minidump-stackwalk knows the direction of some opcodes only.
fn add_directions(crash: &mut Map<String, Value>, scene: &Scene<'_>) {
    let Some(Value::Array(theirs)) = crash.get_mut("memory_accesses") else { return };
    for access in theirs.iter_mut().filter_map(Value::as_object_mut) {
        if access.contains_key("access_type") {
            continue;
        }
        let address = access.get("address").and_then(Value::as_str).map(ToOwned::to_owned);
        let own = scene.accesses.iter().find(|own| {
            address.as_deref().is_some_and(|address| address == hex(scene, own.address))
        });
        if let Some(own) = own {
            access.insert("access_type".into(), direction_word(own.direction).into());
        }
    }
}

fn adjusted_address(scene: &Scene<'_>) -> Option<Value> {
    if scene.is_protection_fault() && scene.address != scene.told_address {
        let address = hex(scene, scene.address);
        return Some(json!({"kind": "non-canonical", "address": address}));
    }
    // Of x86-64 it says itself whether a base was null.
    let access = scene.failed_access().filter(|_| scene.cpu != Cpu::X86_64)?;
    let is_null = scene.register(access.place.base.as_deref()?) == Some(0);
    let offset = hex(scene, access.address);
    is_null.then(|| json!({"kind": "null-pointer", "offset": offset}))
}

/// By the rules of minidump-stackwalk, which knows no instructions here.
fn add_inconsistencies(crash: &mut Map<String, Value>, scene: &Scene<'_>) {
    let found = inconsistencies(scene);
    let Some(Value::Array(list)) = crash.get_mut("crash_inconsistencies") else { return };
    for name in found {
        if !list.iter().any(|known| known == name) {
            list.push(name.into());
        }
    }
}

fn inconsistencies(scene: &Scene<'_>) -> Vec<&'static str> {
    let Some(instruction) = &scene.instruction else { return Vec::new() };
    let mut found = Vec::new();
    if scene.fault == Fault::Division && instruction.kind != Kind::Division && scene.is_x86() {
        found.push("int_div_by_zero_not_possible");
    }
    if scene.fault == Fault::Privileged
        && instruction.kind != Kind::Privileged
        && scene.os == Os::Windows
    {
        found.push("priv_instruction_crash_without_priv_instruction");
    }
    if scene.is_access_impossible() {
        found.push("crashing_access_not_found_in_memory_accesses");
    }
    found
}

/// The exception as the system tells it, its parameters by their names.
fn exception(scene: &Scene<'_>) -> Value {
    let names: &[&str] = match (scene.os, scene.fault, scene.code) {
        (Os::Windows, Fault::Access | Fault::Paging, 0x8000_0001 | 0xC000_0005 | 0xC000_0006) => {
            &["access", "address", "status"]
        }
        (Os::Windows, Fault::FailFast, _) => &["fast_fail_code"],
        (Os::Windows, Fault::Cpp, _) => &["magic", "object", "throw_info", "image_base"],
        (Os::Windows, ..) => &[],
        (Os::MacOs | Os::Ios, ..) => &["code", "subcode"],
        _ => &[],
    };
    let parameters =
        scene.parameters.iter().enumerate().map(
            |(index, value)| json!({"name": names.get(index), "value": format!("{value:#x}")}),
        );
    let details = match scene.os {
        Os::Windows => "flags",
        Os::MacOs | Os::Ios => "code",
        _ => "si_code",
    };
    json!({
        "code": format!("{:#x}", scene.code),
        "detail": {"name": details, "value": format!("{:#x}", scene.flags)},
        "parameters": parameters.collect::<Vec<_>>(),
    })
}
