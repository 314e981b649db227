//! Which memory of a large dump the analysis looks at.

use std::collections::BTreeMap;

use minidump::{Minidump, MinidumpContext};

use crate::state::Threads;

/// Address and size in bytes.
pub(crate) type Span = (u64, u64);

/// A stack from its stack pointer up; the crashing thread's may be longer.
const MAX_STACK_BYTES: u64 = 16 << 20;
const MAX_CRASHED_STACK_BYTES: u64 = 128 << 20;
/// All stacks together.
const MAX_TOTAL_BYTES: u64 = 256 << 20;
/// Below a stack pointer: a red zone.
const BELOW_STACK_POINTER: u64 = 256;
/// Around instructions and what registers point to.
const AROUND: u64 = 256;
/// `TEB` with the thread's last error.
const TEB_BYTES: u64 = 4096;
/// A stack pointer in the guard gap belongs to the memory above it.
const MAX_GAP: u64 = 1 << 21;

/// The spans that are needed of `memory` (sorted by address), sorted, none overlapping.
pub(crate) fn wanted(dump: &Minidump<'_, &[u8]>, memory: &[Span]) -> Vec<Span> {
    let threads = Threads::read(dump);
    let Some(system) = threads.system.as_ref() else { return Vec::new() };
    let misc = threads.misc.as_ref();
    let crashed = threads.requesting_thread();
    let mut wanted = Wanted { memory, spans: BTreeMap::new(), left: MAX_TOTAL_BYTES };
    if let Some(exception) = &threads.exception {
        wanted.around(exception.get_crash_address(system.os, system.cpu));
        if let Some(context) = exception.context(system, misc) {
            wanted.context(&context, true);
        }
    }
    let others = (0..threads.list.len()).filter(|index| Some(*index) != crashed);
    for index in crashed.into_iter().chain(others) {
        let Some(thread) = threads.list.get(index) else { continue };
        let has_crashed = Some(index) == crashed;
        if let Some(context) = thread.context(system, misc) {
            wanted.context(&context, has_crashed);
        }
        wanted.stack(thread.raw.stack.start_of_memory_range, has_crashed);
        wanted.clipped(thread.raw.teb, TEB_BYTES);
    }
    joined(wanted.spans)
}

struct Wanted<'a> {
    memory: &'a [Span],
    /// Size by start: a hostile dump can ask for millions.
    spans: BTreeMap<u64, u64>,
    left: u64,
}

impl Wanted<'_> {
    fn context(&mut self, context: &MinidumpContext, has_crashed: bool) {
        self.stack(context.get_stack_pointer(), has_crashed);
        self.around(context.get_instruction_pointer());
        if has_crashed {
            for (_, value) in context.valid_registers() {
                self.around(value);
            }
        }
    }

    /// From a stack pointer to the end of the memory that holds it, or of that above a gap.
    fn stack(&mut self, sp: u64, has_crashed: bool) {
        if sp == 0 {
            return;
        }
        let above = self.memory.partition_point(|(start, size)| start.saturating_add(*size) <= sp);
        let Some((start, size)) = self.memory.get(above).copied() else { return };
        if start.saturating_sub(sp) > MAX_GAP {
            return;
        }
        let most = if has_crashed { MAX_CRASHED_STACK_BYTES } else { MAX_STACK_BYTES };
        let first = sp.saturating_sub(BELOW_STACK_POINTER).max(start);
        let end = start.saturating_add(size);
        self.push(first, end.saturating_sub(first).min(most));
    }

    fn around(&mut self, address: u64) {
        self.clipped(address.saturating_sub(AROUND), AROUND.saturating_mul(2));
    }

    /// What the memory holds of a span.
    fn clipped(&mut self, start: u64, size: u64) {
        let end = start.saturating_add(size);
        let first = self.memory.partition_point(|(low, size)| low.saturating_add(*size) <= start);
        for (low, size) in self.memory.iter().skip(first).take_while(|(low, _)| *low < end) {
            let (from, to) = (start.max(*low), end.min(low.saturating_add(*size)));
            self.push(from, to.saturating_sub(from));
        }
    }

    fn push(&mut self, start: u64, size: u64) {
        let is_known = self.spans.get(&start).is_some_and(|known| *known >= size);
        if size > 0 && size <= self.left && !is_known {
            self.left = self.left.saturating_sub(size);
            self.spans.insert(start, size);
        }
    }
}

/// Makes one of spans that touch within one range of memory.
///
/// Spans of neighbouring ranges stay apart: their bytes need not follow each other in the file.
fn joined(spans: BTreeMap<u64, u64>) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    for (start, size) in spans {
        let end = start.saturating_add(size);
        match out.last_mut() {
            Some((low, known)) if start < low.saturating_add(*known) => {
                *known = (*known).max(end.saturating_sub(*low));
            }
            _ => out.push((start, size)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_spans_become_one() {
        assert_eq!(joined([(8, 4), (0, 9), (12, 1), (20, 2)].into()), [(0, 12), (12, 1), (20, 2)]);
    }

    #[test]
    fn a_stack_begins_below_the_stack_pointer_and_ends_with_its_memory() {
        let memory = [(0x1000, 0x1000), (0x10_0000, 0x8000)];
        let spans = |sp| {
            let left = MAX_TOTAL_BYTES;
            let mut wanted = Wanted { memory: &memory, spans: BTreeMap::new(), left };
            wanted.stack(sp, false);
            Vec::from_iter(wanted.spans)
        };
        assert_eq!(spans(0x10_2000), [(0x10_1f00, 0x6100)]);
        assert_eq!(spans(0xff_f00), [(0x10_0000, 0x8000)], "in the gap below");
        assert_eq!(spans(0x20_0000), []);
        assert_eq!(spans(0), []);
    }

    #[test]
    fn a_span_is_clipped_at_what_is_there_and_the_total_is_bounded() {
        let memory = [(0x1000, 0x10), (0x1010, 0x10), (0x2000, 1 << 40)];
        let mut wanted = Wanted { memory: &memory, spans: BTreeMap::new(), left: 0x100 };
        wanted.clipped(0x0f00, 0x118);
        assert_eq!(wanted.spans, [(0x1000, 0x10), (0x1010, 0x8)].into());
        wanted.stack(0x2000, true);
        assert_eq!(wanted.spans.len(), 2, "too long for what is left");
        wanted.around(u64::MAX);
        wanted.around(0);
        assert_eq!(wanted.spans.len(), 2);
    }
}
