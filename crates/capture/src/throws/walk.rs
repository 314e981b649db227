//! Walking the stack of the running thread: rule by rule, within bounds that are known.

use super::rule::{Cfa, Rbp};
use super::trail::Trail;
use super::{cache, cfi};
use crate::got;

/// Most return addresses of one stack.
pub const MOST_FRAMES: usize = 64;

/// The part of a stack that may be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stack {
    /// Lowest address.
    pub(super) low: usize,
    /// End.
    pub(super) high: usize,
    /// How far the bytes stand from their addresses: 0, or the distance to a copy.
    pub(super) distance: usize,
}

impl Stack {
    /// Whether an aligned word at this address may be read.
    #[inline]
    pub(super) fn holds(&self, address: usize) -> bool {
        address >= self.low
            && address.checked_add(8).is_some_and(|end| end <= self.high)
            && address.is_multiple_of(8)
    }

    /// # Safety
    /// [`Stack::holds`] is true of the address.
    #[inline]
    pub(super) unsafe fn read_held(&self, address: usize) -> u64 {
        let place = std::ptr::with_exposed_provenance::<u64>(address.wrapping_add(self.distance));
        // SAFETY: who made the bounds guarantees that they are mapped, or a copy.
        unsafe { place.read_volatile() }
    }

    #[inline]
    fn read(&self, address: usize) -> Option<usize> {
        // SAFETY: checked on the same line.
        let word = self.holds(address).then(|| unsafe { self.read_held(address) })?;
        usize::try_from(word).ok()
    }
}

/// Where a walk begins: in a function's caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) return_address: usize,
    /// The caller's stack pointer after the return.
    pub(super) rsp: usize,
    pub(super) rbp: usize,
}

/// Writes the return addresses, the innermost first; gives their number. `trail` is what the
/// thread's last walk found; it becomes what this one finds.
pub(super) fn walk(
    start: Start,
    stack: &Stack,
    trail: &mut Trail,
    pcs: &mut [u64; MOST_FRAMES],
) -> usize {
    let Start { mut return_address, mut rsp, mut rbp } = start;
    let Trail { last, own } = trail;
    let (mut count, mut met) = (0_usize, 0_usize);
    while let Some(place) = own.get_mut(count) {
        let frame = (rsp.wrapping_sub(8), u64::try_from(return_address).unwrap_or(0), rbp);
        met = last.at_or_above(frame.0, met);
        if let Some(length) = last.joined(met, count, frame, stack) {
            return last.keep(own.get(..count).unwrap_or(&[]), met, length, pcs);
        }
        *place = frame;
        count = count.saturating_add(1);
        let Some(caller) = step(return_address, rsp, rbp, stack) else { break };
        (return_address, rsp, rbp) = caller;
    }
    last.keep(own.get(..count).unwrap_or(&[]), 0, 0, pcs)
}

/// The caller's return address, `rsp` and `rbp`; `None` at the end.
#[inline]
fn step(
    return_address: usize,
    rsp: usize,
    rbp: usize,
    stack: &Stack,
) -> Option<(usize, usize, usize)> {
    let rule = cache::get(return_address).unwrap_or_else(|| {
        got::refresh_unloads();
        let rule = cfi::rule_at(return_address);
        cache::put(return_address, rule);
        rule
    });
    if !rule.is_frame() {
        return None;
    }
    let add = |address: usize, offset: i32| address.wrapping_add_signed(offset as isize);
    let cfa = match rule.cfa() {
        Cfa::Rsp(offset) => add(rsp, offset),
        Cfa::Rbp(offset) => add(rbp, offset),
        Cfa::At(offset) => stack.read(add(rbp, offset))?,
    };
    // Frames only get older upwards.
    if cfa <= rsp {
        return None;
    }
    let caller = stack.read(cfa.wrapping_sub(8)).filter(|address| *address != 0)?;
    let rbp = match rule.rbp() {
        Rbp::Same => rbp,
        Rbp::InFrame(offset) => stack.read(add(cfa, offset))?,
        Rbp::InSlot(offset) => stack.read(add(rbp, offset))?,
    };
    Some((caller, cfa, rbp))
}

#[cfg(test)]
mod tests;
