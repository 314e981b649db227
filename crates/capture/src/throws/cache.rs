//! How to step from a return address to its caller: remembered for the whole process.
//!
//! One table for all threads, without locks: each entry is the rule, and key XOR rule. Two writers
//! may mix; what they leave then belongs to no key.

use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::Rule;
use crate::got;

const ENTRIES: usize = 4096;
/// The upper bits of Fibonacci hashing that choose an entry.
const SHIFT: u32 = u64::BITS - ENTRIES.ilog2();

struct Entry {
    mixed: AtomicU64,
    rule: AtomicU64,
}

static TABLE: [Entry; ENTRIES] =
    [const { Entry { mixed: AtomicU64::new(0), rule: AtomicU64::new(0) } }; ENTRIES];

fn key(return_address: usize) -> u64 {
    // Addresses of a process have 47 bits. What a module that is unloaded leaves behind must not
    // serve the next one at its place.
    u64::try_from(return_address).unwrap_or(0) ^ (got::unloads_seen().wrapping_add(1) << 47)
}

fn entry(key: u64) -> Option<&'static Entry> {
    let index = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> SHIFT;
    TABLE.get(usize::try_from(index).ok()?)
}

/// The rule, if it is known.
#[inline]
pub(super) fn get(return_address: usize) -> Option<Rule> {
    let key = key(return_address);
    let entry = entry(key)?;
    let rule = entry.rule.load(Ordering::Relaxed);
    (entry.mixed.load(Ordering::Relaxed) ^ rule == key).then_some(Rule(rule))
}

/// Remembers a rule, in the place of another.
pub(super) fn put(return_address: usize, rule: Rule) {
    let key = key(return_address);
    if let Some(entry) = entry(key) {
        entry.rule.store(rule.0, Ordering::Relaxed);
        entry.mixed.store(key ^ rule.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_known_by_its_whole_address() {
        put(0x7fff_1234, Rule(77));
        assert_eq!(get(0x7fff_1234), Some(Rule(77)));
        assert_eq!(get(0x7fff_1235), None);
    }
}
