//! Walking the stack of the running thread: rule by rule, within bounds that are known.

use super::rule::{Cfa, Rbp};
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
    #[inline]
    fn read(&self, address: usize) -> Option<usize> {
        let is_inside =
            address >= self.low && address.checked_add(8).is_some_and(|end| end <= self.high);
        if !is_inside || !address.is_multiple_of(8) {
            return None;
        }
        let place = std::ptr::with_exposed_provenance::<usize>(address.wrapping_add(self.distance));
        // SAFETY: who made the bounds guarantees that they are mapped, or a copy.
        Some(unsafe { place.read_volatile() })
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

/// Writes the return addresses, the innermost first; gives their number.
pub(super) fn walk(start: Start, stack: &Stack, pcs: &mut [u64; MOST_FRAMES]) -> usize {
    let Start { mut return_address, mut rsp, mut rbp } = start;
    let mut count: usize = 0;
    for place in pcs.iter_mut() {
        *place = u64::try_from(return_address).unwrap_or(0);
        count = count.saturating_add(1);
        let Some(caller) = step(return_address, rsp, rbp, stack) else { break };
        (return_address, rsp, rbp) = caller;
    }
    count
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
