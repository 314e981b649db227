//! `co_linetable` of CPython 3.10 (`Objects/lnotab_notes.txt`, PEP 626).
//!
//! A sequence of pairs:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 1 | u8 | start delta | bytes of bytecode that the pair covers |
//! | 1 | 1 | i8 | line delta | added to the line; -128 = no line, the current one stays |
//!
//! The line before the first pair is `co_firstlineno`.

use super::{Location, line_number};

const NO_LINE: i8 = -128;

pub(super) fn locate(first_line: i32, table: &[u8], offset: u64) -> Option<Location> {
    let mut line = i64::from(first_line);
    let mut end = 0_u64;
    for pair in table.chunks_exact(2) {
        let (&[start_delta, line_delta], _) = pair.split_first_chunk()?;
        let line_delta = line_delta.cast_signed();
        end = end.saturating_add(start_delta.into());
        if line_delta != NO_LINE {
            line = line.saturating_add(line_delta.into());
        }
        if offset < end {
            let known = line_delta != NO_LINE;
            let line = if known { line_number(line) } else { None };
            return Some(Location { line, ..Location::default() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_at(table: &[u8], offset: u64) -> Option<Option<u32>> {
        locate(10, table, offset).map(|location| location.line)
    }

    #[test]
    fn deltas_add_up_and_ranges_are_half_open() {
        let table = [6, 1, 50, 2, 4, 0xFE, 2, 0x80, 2, 1];
        assert_eq!(line_at(&table, 0), Some(Some(11)));
        assert_eq!(line_at(&table, 5), Some(Some(11)));
        assert_eq!(line_at(&table, 6), Some(Some(13)));
        assert_eq!(line_at(&table, 56), Some(Some(11)));
        assert_eq!(line_at(&table, 60), Some(None), "no line");
        assert_eq!(line_at(&table, 62), Some(Some(12)), "the line before the gap counts on");
        assert_eq!(line_at(&table, 64), None, "behind the table");
    }

    #[test]
    fn a_pair_of_no_length_only_moves_the_line() {
        assert_eq!(line_at(&[0, 100, 2, 1], 0), Some(Some(111)));
    }

    #[test]
    fn a_cut_pair_is_ignored() {
        assert_eq!(line_at(&[2, 1, 2], 3), None);
    }
}
