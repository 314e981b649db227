//! Whole areas of memory: full and miniplus dumps, and flags that ask for some of them.

use std::collections::HashMap;
use std::ops::Range;

use crate::plan::{DumpFlags, DumpKind};
use crate::snapshot::{Area, AreaKind};
use crate::write::DumpWriter;

/// A miniplus dump leaves out the largest private area above this size.
const LARGE_AREA: u64 = 512 * 1024 * 1024;
const HEADER: u64 = 4096;
/// Flags that ask for areas.
const AREA_FLAGS: &[DumpFlags] = &[
    DumpFlags::WITH_FULL_MEMORY,
    DumpFlags::WITH_PRIVATE_READ_WRITE_MEMORY,
    DumpFlags::WITH_PRIVATE_WRITE_COPY_MEMORY,
    DumpFlags::WITH_DATA_SEGS,
    DumpFlags::WITH_CODE_SEGS,
    DumpFlags::WITH_MODULE_HEADERS,
];

impl DumpWriter<'_> {
    /// The ranges, none twice; empty when the kind has none.
    pub(super) fn chosen_areas(&mut self) -> Vec<Range<u64>> {
        if !AREA_FLAGS.iter().any(|flag| self.flags.contains(*flag)) {
            return Vec::new();
        }
        let areas = self.snapshot.areas(self.soft_errors);
        let left_out = match self.kind {
            DumpKind::MiniPlus => self.leave_largest_out(&areas),
            _ => None,
        };
        let mut chosen = Vec::new();
        let mut excluded: HashMap<&'static str, (usize, u64)> = HashMap::new();
        for (index, area) in areas.iter().enumerate() {
            let Some(range) = self.part_of(&areas, index) else { continue };
            let size = range.end.saturating_sub(range.start);
            if left_out == Some(area.region.size) && self.can_be_left_out(area) {
                continue;
            }
            if let Some(reason) = area.excluded {
                let (count, bytes) = excluded.entry(reason).or_default();
                *count = count.saturating_add(1);
                *bytes = bytes.saturating_add(size);
                continue;
            }
            chosen.push(range);
        }
        for (reason, (count, bytes)) in excluded {
            let message = format!("{count} areas, {bytes} bytes: {reason}");
            self.soft_errors.add("memory_excluded", "memory", message);
        }
        chosen
    }

    /// What this dump holds of an area.
    fn part_of(&self, areas: &[Area], index: usize) -> Option<Range<u64>> {
        let area = areas.get(index)?;
        let region = area.region;
        let has = |flag| self.flags.contains(flag);
        if !region.is_readable || area.kind == AreaKind::Kernel {
            return None;
        }
        let range = region.start..region.start.saturating_add(region.size);
        let is_miniplus = matches!(self.kind, DumpKind::MiniPlus);
        let is_private = area.kind == AreaKind::Private;
        let is_own_file = !region.is_shared && !is_private;
        let is_whole = has(DumpFlags::WITH_FULL_MEMORY)
            || is_miniplus && (is_private || region.is_writable)
            || has(DumpFlags::WITH_PRIVATE_READ_WRITE_MEMORY) && is_private && region.is_writable
            || has(DumpFlags::WITH_PRIVATE_WRITE_COPY_MEMORY) && is_own_file && region.is_writable
            || has(DumpFlags::WITH_CODE_SEGS)
                && region.is_executable
                && self.is_in_module(region.start)
            || has(DumpFlags::WITH_DATA_SEGS) && self.is_module_data(areas, index);
        if is_whole {
            return Some(range);
        }
        let is_header = self.modules.iter().any(|module| module.base == region.start);
        let header = range.start..range.end.min(range.start.saturating_add(HEADER));
        (has(DumpFlags::WITH_MODULE_HEADERS) && is_header).then_some(header)
    }

    fn is_in_module(&self, address: u64) -> bool {
        self.modules.iter().any(|m| address.wrapping_sub(m.base) < u64::from(m.size))
    }

    /// Writable memory of a module: of its file, or the zeros right behind it (`.bss`).
    fn is_module_data(&self, areas: &[Area], index: usize) -> bool {
        let Some(area) = areas.get(index).filter(|area| area.region.is_writable) else {
            return false;
        };
        if area.kind == AreaKind::Image {
            return self.is_in_module(area.region.start);
        }
        let before = index.checked_sub(1).and_then(|index| areas.get(index));
        area.kind == AreaKind::Private
            && area.name.is_empty()
            && before.is_some_and(|before| {
                before.kind == AreaKind::Image
                    && before.region.start.saturating_add(before.region.size) == area.region.start
                    && self.is_in_module(before.region.start)
            })
    }

    /// A miniplus dump is as good as a full one without the one large cache or arena: an area is
    /// the sum of all private allocations of one size. Gives that size.
    fn leave_largest_out(&mut self, areas: &[Area]) -> Option<u64> {
        let mut sums: HashMap<u64, (usize, u64)> = HashMap::new();
        for area in areas.iter().filter(|area| self.can_be_left_out(area)) {
            let (count, bytes) = sums.entry(area.region.size).or_default();
            *count = count.saturating_add(1);
            *bytes = bytes.saturating_add(area.region.size);
        }
        let largest = sums.into_iter().max_by_key(|(size, (_, bytes))| (*bytes, *size));
        let (size, (count, bytes)) = largest.filter(|(_, (_, bytes))| *bytes > LARGE_AREA)?;
        let first = areas.iter().find(|a| a.region.size == size && self.can_be_left_out(a));
        let at = first.map_or(0, |area| area.region.start);
        let message = format!(
            "the largest private area is left out: {count} allocations of {size} bytes, \
             {bytes} bytes together, the first at {at:#x}"
        );
        self.soft_errors.add("largest_area_left_out", "memory", message);
        Some(size)
    }

    /// Not stacks: they have one size too, and matter.
    fn can_be_left_out(&self, area: &Area) -> bool {
        let region = area.region;
        let holds = |address: u64| address.wrapping_sub(region.start) < region.size;
        let threads = self.snapshot.threads().iter();
        let mut stacks = threads.filter_map(|thread| thread.registers.as_ref().map(|r| r.rsp));
        area.kind == AreaKind::Private
            && region.is_readable
            && !area.name.starts_with("[stack")
            && !stacks.any(holds)
    }
}
