//! The limit of recorded throws per second: above it, one throw of several is recorded.
//!
//! Threads count for themselves and tell the process every 64 throws: a counter of all would be
//! fought for by threads that throw at the same time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const BATCH: u32 = 64;
const NS_PER_S: u64 = 1_000_000_000;

/// Throws per second that are all recorded; 0 = no limit.
static LIMIT: AtomicU32 = AtomicU32::new(0);
/// The second that is being counted, and the throws that were told in it: 32 bits each.
static COUNTED: AtomicU64 = AtomicU64::new(0);

/// Sets the limit; 0 = none.
pub(super) fn set_limit(throws_per_s: u32) {
    LIMIT.store(throws_per_s, Ordering::Release);
}

/// What one thread counts.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Throws since the process was told.
    untold: u32,
    /// One of this many is recorded; 0 = each.
    one_in: u32,
}

impl Pace {
    /// Counts a throw; whether it is to be recorded.
    #[inline]
    pub(super) fn is_recorded(&mut self, now_ns: u64) -> bool {
        self.untold = self.untold.wrapping_add(1);
        if self.untold >= BATCH {
            self.untold = 0;
            self.one_in = tell(now_ns, LIMIT.load(Ordering::Relaxed));
        }
        self.one_in <= 1 || self.untold.checked_rem(self.one_in) == Some(0)
    }
}

/// Adds a batch to the second; gives which share of the next batch is to be recorded.
#[cold]
fn tell(now_ns: u64, limit: u32) -> u32 {
    if limit == 0 {
        return 1;
    }
    let second = (now_ns / NS_PER_S) & 0xffff_ffff;
    let mut counted = COUNTED.load(Ordering::Relaxed);
    loop {
        let before = if counted >> 32 == second { counted & 0xffff_ffff } else { 0 };
        let count = before.saturating_add(u64::from(BATCH)).min(0xffff_ffff);
        let new = (second << 32) | count;
        match COUNTED.compare_exchange_weak(counted, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return share(count, now_ns % NS_PER_S, limit),
            Err(newer) => counted = newer,
        }
    }
}

/// `count` throws in `elapsed_ns` of a second: one in how many fits the limit.
fn share(count: u64, elapsed_ns: u64, limit: u32) -> u32 {
    let limit = u64::from(limit);
    if count <= limit {
        return 1;
    }
    // The rate so far; a second's first tenth is taken as a tenth.
    let elapsed_ns = elapsed_ns.max(NS_PER_S / 10);
    let per_s = count.saturating_mul(NS_PER_S).checked_div(elapsed_ns).unwrap_or(count);
    u32::try_from(per_s.div_ceil(limit.max(1))).unwrap_or(u32::MAX).min(BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_the_limit_a_share_is_recorded() {
        assert_eq!(share(1_000, NS_PER_S / 2, 1_000), 1);
        assert_eq!(share(1_001, NS_PER_S / 2, 1_000), 3);
        assert_eq!(share(50_000, NS_PER_S / 2, 1_000), BATCH, "one of each batch at the least");
    }

    #[test]
    fn without_a_limit_everything_is_recorded() {
        let mut pace = Pace::default();
        assert!((0..10_000).all(|_| pace.is_recorded(5)));
    }
}
