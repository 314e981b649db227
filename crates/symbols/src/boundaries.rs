//! The addresses at which the answers of lookups can change, so that all of a module's answers can be
//! told with one lookup for each.

use std::ops::Range;

/// Kept at most, 512 MiB; the largest debug files (browsers) have some dozens of millions of line rows.
const MAX_BOUNDARIES: usize = 64 << 20;

/// A growing set of addresses.
#[derive(Default)]
pub(crate) struct Boundaries {
    addresses: Vec<u64>,
    /// Within these only, by address; everywhere when empty.
    within: Vec<Range<u64>>,
    /// Length from which on the list is sorted, and doubles thrown out.
    compact_at: usize,
    /// Whether something had to be left out.
    pub(crate) is_cut: bool,
}

impl Boundaries {
    /// Takes addresses in these ranges and at their ends only.
    pub(crate) fn within(ranges: &[Range<u64>]) -> Self {
        let mut within: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        within.sort_by_key(|range| range.start);
        let mut found = Self { within, compact_at: 1 << 20, ..Self::default() };
        for range in ranges {
            found.add(range.start);
            found.add(range.end);
        }
        found
    }

    pub(crate) fn add(&mut self, address: u64) {
        if !self.is_within(address) {
            return;
        }
        if self.addresses.len() >= self.compact_at.max(1) {
            self.compact();
            self.compact_at = self.addresses.len().saturating_mul(2).max(1 << 20);
        }
        if self.addresses.len() >= MAX_BOUNDARIES {
            self.is_cut = true;
            return;
        }
        self.addresses.push(address);
    }

    pub(crate) fn extend(&mut self, addresses: impl IntoIterator<Item = u64>) {
        for address in addresses {
            self.add(address);
        }
    }

    /// These and others, of the same address space.
    pub(crate) fn joined(mut self, other: Self) -> Self {
        self.within.clear();
        self.is_cut |= other.is_cut;
        self.extend(other.addresses);
        self
    }

    /// The same, in bytes above an image's base.
    pub(crate) fn relative_to(mut self, base: u64) -> Self {
        let relative = |address: &u64| address.checked_sub(base);
        self.addresses = self.addresses.iter().filter_map(relative).collect();
        self.within.clear();
        self
    }

    fn is_within(&self, address: u64) -> bool {
        self.within.is_empty()
            || self.within.iter().any(|range| range.start <= address && address <= range.end)
    }

    fn compact(&mut self) {
        self.addresses.sort_unstable();
        self.addresses.dedup();
    }

    /// Sorted, each once.
    pub(crate) fn into_sorted(mut self) -> Vec<u64> {
        self.compact();
        self.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_sorted_once_and_within_code() {
        let mut found = Boundaries::within(&[0x2000..0x3000, 0x1000..0x1800]);
        for address in [0x2fff, 0x10, 0x2fff, 0x1900, 0x1400] {
            found.add(address);
        }
        let expected = [0x1000, 0x1400, 0x1800, 0x2000, 0x2fff, 0x3000];
        assert_eq!(found.into_sorted(), expected);
    }
}
