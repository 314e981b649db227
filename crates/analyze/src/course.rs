//! The stacks that one thread's frames stand on, in the order of the walk.
//!
//! Addresses grow with age, but only on one stack: a signal handler may run on a stack of its own
//! that lies above or below the one that it interrupted. So what compares ages works with
//! *positions*: an address, and in the bits above it the number of its stack. On the stack where
//! the walk begins, which mostly is the only one, a position is the address itself.

use std::ops::Range;

/// User space has at most 56 bits of addresses (x86-64 with five levels of pages).
const ADDRESS_BITS: u32 = 57;
/// As many numbers as fit above them.
const MOST_STACKS: usize = 127;

/// Where a walk has been, newest first.
#[derive(Debug, Default)]
pub(crate) struct Course {
    stacks: Vec<Range<u64>>,
}

impl Course {
    /// The walk goes on on a stack.
    pub(crate) fn enter(&mut self, stack: Range<u64>) {
        if self.stacks.len() < MOST_STACKS {
            self.stacks.push(stack);
        }
    }

    /// The stack that the walk is on.
    pub(crate) fn current(&self) -> Option<&Range<u64>> {
        self.stacks.last()
    }

    /// The position of an address on the stack that the walk is on.
    pub(crate) fn position(&self, address: u64) -> u64 {
        position(self.stacks.len().saturating_sub(1), address)
    }

    /// The walk goes back to the stack of a position.
    pub(crate) fn go_back(&mut self, position: u64) {
        self.stacks.truncate(number_of(position).saturating_add(1));
    }

    /// The walk leaves the stack of a position out, and all behind it.
    pub(crate) fn leave_out(&mut self, position: u64) {
        self.stacks.truncate(number_of(position));
    }

    /// Positions of the anchors of Python frames, newest first. Each lies on the stack of the one
    /// before it or on a later one, which need not have been walked: `stack_at` tells which stack
    /// holds an address.
    pub(crate) fn positions(
        &self,
        anchors: &[Option<u64>],
        stack_at: &dyn Fn(u64) -> Option<Range<u64>>,
    ) -> Vec<Option<u64>> {
        let mut stacks = self.stacks.clone();
        let (mut number, mut last) = (0, 0);
        let mut place = |anchor: u64| {
            if anchor >> ADDRESS_BITS != 0 {
                return anchor;
            }
            let holds = |stack: &Range<u64>| stack.contains(&anchor);
            let holders = stacks.iter().enumerate().filter(|(_, stack)| holds(stack));
            let mut holders = holders.map(|(index, _)| index);
            let is_older = |index: &usize| *index > number || *index == number && anchor >= last;
            match (holders.clone().find(is_older), holders.next()) {
                (Some(index), _) => number = index,
                // It goes back; no reader of positions believes it.
                (None, Some(index)) => return position(index, anchor),
                (None, None) => {
                    let new = stack_at(anchor).filter(|_| stacks.len() < MOST_STACKS);
                    number = if new.is_some() { stacks.len() } else { number };
                    stacks.extend(new);
                }
            }
            last = anchor;
            position(number, anchor)
        };
        anchors.iter().map(|anchor| anchor.map(&mut place)).collect()
    }
}

fn position(number: usize, address: u64) -> u64 {
    let number = u64::try_from(number).unwrap_or(0);
    address.wrapping_add(number.wrapping_shl(ADDRESS_BITS))
}

fn number_of(position: u64) -> usize {
    usize::try_from(position >> ADDRESS_BITS).unwrap_or(0)
}

/// The address of a position.
pub(crate) fn address_of(position: u64) -> u64 {
    position & (u64::MAX >> (u64::BITS.saturating_sub(ADDRESS_BITS)))
}

/// Whether two positions are on one stack.
pub(crate) fn is_one_stack(one: u64, other: u64) -> bool {
    number_of(one) == number_of(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << ADDRESS_BITS;

    fn course(stacks: &[(u64, u64)]) -> Course {
        Course { stacks: stacks.iter().map(|(start, end)| *start..*end).collect() }
    }

    fn nowhere(_: u64) -> Option<Range<u64>> {
        None
    }

    #[test]
    fn on_one_stack_positions_are_addresses() {
        let course = course(&[(0x1000, 0x2000)]);
        let anchors = [Some(0x1100), Some(0x1100), None, Some(0x1200), Some(0x9000)];
        assert_eq!(course.positions(&anchors, &nowhere), anchors);
        assert_eq!(course.position(0x1800), 0x1800);
    }

    #[test]
    fn positions_grow_with_age_whatever_the_order_of_the_stacks() {
        let course = course(&[(0x8000, 0x9000), (0x1000, 0x2000)]);
        let positions = course.positions(&[Some(0x8100), Some(0x1100), Some(0x1200)], &nowhere);
        assert_eq!(positions, [Some(0x8100), Some(SECOND + 0x1100), Some(SECOND + 0x1200)]);
        assert_eq!(course.position(0x1100), SECOND + 0x1100);
        assert_eq!(address_of(SECOND + 0x1100), 0x1100);
        assert!(is_one_stack(SECOND, SECOND + 8) && !is_one_stack(8, SECOND + 8));
    }

    #[test]
    fn a_stack_that_was_not_walked_comes_behind_the_others() {
        let course = course(&[(0x8000, 0x9000)]);
        let stack_at = |address: u64| (address < 0x2000).then_some(0x1000..0x2000);
        let positions = course.positions(&[Some(0x8100), Some(0x1100), Some(0x1200)], &stack_at);
        assert_eq!(positions, [Some(0x8100), Some(SECOND + 0x1100), Some(SECOND + 0x1200)]);
    }

    #[test]
    fn an_anchor_that_goes_back_on_its_stack_stays_as_it_is() {
        let course = course(&[(0x1000, 0x2000)]);
        let anchors = [Some(0x1200), Some(0x1100), Some(u64::MAX)];
        assert_eq!(course.positions(&anchors, &|_| Some(0x1000..0x2000)), anchors);
    }

    #[test]
    fn an_anchor_that_goes_back_to_a_newer_stack_has_a_smaller_position() {
        let course = course(&[(0x8000, 0x9000), (0x1000, 0x2000)]);
        let positions = course.positions(&[Some(0x1100), Some(0x8100), Some(0x1200)], &nowhere);
        assert_eq!(positions, [Some(SECOND + 0x1100), Some(0x8100), Some(SECOND + 0x1200)]);
    }

    #[test]
    fn a_walk_may_go_back() {
        let mut course = course(&[(0x8000, 0x9000), (0x1000, 0x2000), (0x3000, 0x4000)]);
        course.go_back(SECOND + 0x1100);
        assert_eq!(course.current(), Some(&(0x1000..0x2000)));
        course.leave_out(SECOND + 0x1100);
        assert_eq!(course.current(), Some(&(0x8000..0x9000)));
        course.enter(0x5000..0x6000);
        assert_eq!(course.position(0x5100), SECOND + 0x5100);
    }
}
