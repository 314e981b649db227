//! The last walk of a thread: the next one mostly ends in the same frames.
//!
//! A walk has to read each frame before it knows where the next one is. Where a frame of the last walk
//! is met again, the rest needs no walk: it is the same if all its return addresses still stand
//! where they stood, and that many words can be compared at once.

use super::walk::{MOST_FRAMES, Stack};

/// A frame: where its return address stands, the return address, `rbp`.
pub(super) type Frame = (usize, u64, usize);

/// What a thread needs for its walks. All zero is valid: no walk yet.
#[repr(C)]
pub(super) struct Trail {
    pub(super) last: LastWalk,
    /// Where the next walk writes its own frames, before it meets those of the last one.
    pub(super) own: [Frame; MOST_FRAMES],
}

impl Trail {
    /// Without frames.
    pub(super) fn new() -> Self {
        Self { last: LastWalk::EMPTY, own: [(0, 0, 0); MOST_FRAMES] }
    }
}

/// What the last walk has found.
#[repr(C)]
pub(super) struct LastWalk {
    count: usize,
    /// Where each return address stands.
    slots: [usize; MOST_FRAMES],
    rbps: [usize; MOST_FRAMES],
    pcs: [u64; MOST_FRAMES],
}

impl LastWalk {
    const EMPTY: Self =
        Self { count: 0, slots: [0; MOST_FRAMES], rbps: [0; MOST_FRAMES], pcs: [0; MOST_FRAMES] };

    /// The frame of the last walk whose return address stands at `slot`, searched from `from` on;
    /// or the first one above.
    #[inline]
    pub(super) fn at_or_above(&self, slot: usize, from: usize) -> usize {
        let later = self.slots.get(from..self.count).unwrap_or(&[]);
        let below = later.iter().take_while(|known| **known < slot).count();
        from.saturating_add(below)
    }

    /// How many frames of the last walk follow from `index` on, if the walk that comes to the same
    /// frame as its number `own_index` would find the same ones.
    #[inline]
    pub(super) fn joined(
        &self,
        index: usize,
        own_index: usize,
        frame: Frame,
        stack: &Stack,
    ) -> Option<usize> {
        let known = (self.slots.get(index)?, self.pcs.get(index)?, self.rbps.get(index)?);
        let is_cut = self.count == MOST_FRAMES;
        if index >= self.count
            || known != (&frame.0, &frame.1, &frame.2)
            // There may be more frames than the last walk had room for.
            || (is_cut && own_index < index)
        {
            return None;
        }
        let next = index.saturating_add(1);
        let slots = self.slots.get(next..self.count)?;
        let pcs = self.pcs.get(next..self.count)?;
        // Slots rise: those between the first and the last are inside the bounds if these two are.
        let (Some(lowest), Some(highest)) = (slots.first(), slots.last()) else {
            return Some(1);
        };
        if !stack.holds(*lowest) || !stack.holds(*highest) {
            return None;
        }
        let difference = slots.iter().zip(pcs).fold(0, |difference, (slot, pc)| {
            // SAFETY: checked above for the lowest and the highest.
            difference | (unsafe { stack.read_held(*slot) } ^ *pc)
        });
        let length = self.count.saturating_sub(index);
        (difference == 0).then(|| length.min(MOST_FRAMES.saturating_sub(own_index)))
    }

    /// Keeps a walk: `prefix` of its own, then `length` frames of the last walk from `index` on.
    /// Gives all return addresses; their number.
    pub(super) fn keep(
        &mut self,
        prefix: &[Frame],
        index: usize,
        length: usize,
        pcs: &mut [u64; MOST_FRAMES],
    ) -> usize {
        let own = prefix.len().min(MOST_FRAMES);
        let length = length.min(MOST_FRAMES.saturating_sub(own));
        let count = own.saturating_add(length);
        let end = index.saturating_add(length);
        if own != index && end <= MOST_FRAMES {
            self.slots.copy_within(index..end, own);
            self.rbps.copy_within(index..end, own);
            self.pcs.copy_within(index..end, own);
        }
        let places = self.slots.iter_mut().zip(&mut self.pcs).zip(&mut self.rbps);
        for (((slot, pc), rbp), frame) in places.zip(prefix) {
            (*slot, *pc, *rbp) = *frame;
        }
        self.count = count;
        if let (Some(to), Some(from)) = (pcs.get_mut(..count), self.pcs.get(..count)) {
            to.copy_from_slice(from);
        }
        count
    }
}
