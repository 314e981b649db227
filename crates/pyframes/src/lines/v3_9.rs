//! `co_lnotab` of CPython 3.9 (`Objects/lnotab_notes.txt`).
//!
//! A sequence of pairs:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 1 | u8 | start delta | bytes of bytecode from the last pair's start to this one's |
//! | 1 | 1 | i8 | line delta | added to the line from this start on |
//!
//! The line before the first pair is `co_firstlineno`; the last pair's holds to the end of the
//! bytecode, of whose length the table knows nothing (`PyCode_Addr2Line`).

use super::{Location, line_number};

pub(super) fn locate(first_line: i32, table: &[u8], offset: u64) -> Location {
    let mut line = i64::from(first_line);
    let mut start = 0_u64;
    for pair in table.chunks_exact(2) {
        let Some((&[start_delta, line_delta], _)) = pair.split_first_chunk() else { break };
        start = start.saturating_add(start_delta.into());
        if start > offset {
            break;
        }
        line = line.saturating_add(line_delta.cast_signed().into());
    }
    Location { line: line_number(line), ..Location::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_at(table: &[u8], offset: u64) -> Option<u32> {
        locate(10, table, offset).line
    }

    #[test]
    fn a_line_holds_from_its_start_to_the_next_one() {
        let table = [0, 1, 6, 2, 50, 0xFE];
        assert_eq!(line_at(&table, 0), Some(11));
        assert_eq!(line_at(&table, 5), Some(11));
        assert_eq!(line_at(&table, 6), Some(13));
        assert_eq!(line_at(&table, 55), Some(13));
        assert_eq!(line_at(&table, 56), Some(11), "lines go back too");
        assert_eq!(line_at(&table, 9000), Some(11), "the last one holds to the end");
        assert_eq!(line_at(&[], 4), Some(10));
    }

    #[test]
    fn deltas_that_do_not_fit_a_byte_take_several_pairs() {
        assert_eq!(line_at(&[255, 0, 45, 127, 0, 73], 299), Some(10));
        assert_eq!(line_at(&[255, 0, 45, 127, 0, 73], 300), Some(210));
    }

    #[test]
    fn a_cut_pair_and_a_line_that_is_none_are_not_used() {
        assert_eq!(line_at(&[2, 1, 2], 3), Some(11));
        assert_eq!(line_at(&[0, 0x80], 0), None);
    }
}
