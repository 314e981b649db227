//! Addresses that would be valid if one bit were another, for ARM64.
//!
//! minidump-stackwalk looks for them on x86-64, where it knows the operands of the instruction; the
//! rules and the confidence here are its own (`minidump-processor`, `bitflip`).

use std::collections::BTreeSet;

use minidump_processor::PossibleBitFlip;

use super::access::Use;
use super::map::Region;
use super::scene::Scene;

/// Bits of an address of ARM64; those above must be zero in a program.
const ADDRESS_BITS: u32 = 48;
/// From here on the top byte may be a tag.
const TAG_BIT: u32 = 56;

/// Possible flips of the address, then of the registers that it is made of.
pub(crate) fn find(scene: &Scene<'_>) -> Vec<PossibleBitFlip> {
    if !scene.is_access() || scene.map.is_empty() || scene.is_fetch() {
        return Vec::new();
    }
    let usage = scene.usage();
    let failed = scene.failed_access();
    let size = failed.map_or(0, |access| access.size_bytes.into());
    let address = failed.map_or(scene.address, |access| access.address);
    let mut found = flips(scene, address, None, usage, size);
    let registers: BTreeSet<&str> =
        failed.map(|access| access.place.registers().collect()).unwrap_or_default();
    for name in registers {
        if let Some(value) = scene.register(name) {
            found.extend(flips(scene, value, static_name(scene, name), usage, size));
        }
    }
    found
}

fn static_name(scene: &Scene<'_>, name: &str) -> Option<&'static str> {
    let names = scene.context.as_ref()?.general_purpose_registers();
    names.iter().copied().find(|known| *known == name)
}

fn flips(
    scene: &Scene<'_>,
    address: u64,
    register: Option<&'static str>,
    usage: Option<Use>,
    size: u64,
) -> Vec<PossibleBitFlip> {
    let allows = |region: &Region| usage.is_none_or(|usage| region.allows(usage));
    let is_valid = |address: u64| scene.map.at(address).is_some_and(|region| allows(&region));
    let is_beside = scene.map.iter().filter(|region| allows(region)).any(|region| {
        let distance =
            address.saturating_sub(region.last).max(region.start.saturating_sub(address));
        distance < size
    });
    if is_valid(address) || is_beside {
        return Vec::new();
    }
    let was_non_canonical = address >> ADDRESS_BITS != 0;
    let bits = if was_non_canonical { ADDRESS_BITS..TAG_BIT } else { 0..ADDRESS_BITS };
    let candidates = bits.map(|bit| address ^ (1_u64 << bit));
    let possible = candidates.filter(|address| *address == 0 || is_valid(*address));
    possible
        .map(|corrected| {
            let mut flip = PossibleBitFlip::new(corrected, register);
            flip.calculate_heuristics(address, was_non_canonical, scene.context.as_ref());
            flip
        })
        .collect()
}
