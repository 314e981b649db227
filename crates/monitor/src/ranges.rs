//! Sets of address ranges: what goes into the dump, without doubles.

use std::ops::Range;

/// Merges ranges that overlap or touch.
pub(crate) fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// What is in `ranges` but not in `taken`; both merged. Takes time in proportion to both.
pub(crate) fn without(ranges: &[Range<u64>], taken: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut out = Vec::new();
    let mut holes = taken;
    for range in ranges {
        let behind = holes.iter().take_while(|hole| hole.end <= range.start).count();
        holes = holes.get(behind..).unwrap_or(&[]);
        let mut start = range.start;
        for hole in holes.iter().take_while(|hole| hole.start < range.end) {
            if hole.start > start {
                out.push(start..hole.start);
            }
            start = start.max(hole.end);
        }
        if start < range.end {
            out.push(start..range.end);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged() {
        assert_eq!(merged(vec![5..9, 0..3, 3..4, 8..12, 20..20]), vec![0..4, 5..12]);
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // One range is what is meant.
    fn what_is_taken_is_left_out() {
        assert_eq!(without(&[0..10, 20..30], &[2..4, 8..22]), vec![0..2, 4..8, 22..30]);
        assert_eq!(without(&[2..3], &[0..10]), Vec::<Range<u64>>::new());
        assert_eq!(
            without(&[0..4, 5..9, 9..12], &[1..2, 6..7, 8..10]),
            vec![0..1, 2..4, 5..6, 7..8, 10..12]
        );
        assert_eq!(without(&[0..4, 6..9], &[3..7]), vec![0..3, 7..9]);
    }
}
