//! The location table of CPython 3.11 and later (`Objects/locations.md`, PEP 657).
//!
//! A sequence of entries. The first byte of each has bit 7 set:
//!
//! | bits | field | meaning |
//! |---|---|---|
//! | 7 | start | 1 |
//! | 3-6 | code | which form follows |
//! | 0-2 | length | code units of 2 bytes that the entry covers, less one |
//!
//! | code | form | what follows |
//! |---|---|---|
//! | 0-9 | short | one byte: bits 4-6 low bits of the column (code × 8 above them), bits 0-3 its length; same line |
//! | 10-12 | one line | line delta = code - 10; a byte column, a byte end column |
//! | 13 | no columns | line delta (svarint) |
//! | 14 | long | line delta (svarint), lines to the end (varint), column + 1, end column + 1 (varints; 0 = not known) |
//! | 15 | none | nothing; the instruction comes from no source |
//!
//! A varint has 6 bits a byte, lowest first, bit 6 = one more follows. An svarint has its
//! sign in the lowest bit.

use super::{Location, line_number};

const UNIT_SIZE: u64 = 2;

pub(super) fn locate(first_line: i32, table: &[u8], offset: u64) -> Option<Location> {
    let mut entries = Entries { rest: table, line: first_line.into() };
    let mut end = 0_u64;
    loop {
        let (units, location) = entries.next_entry()?;
        end = end.saturating_add(u64::from(units).saturating_mul(UNIT_SIZE));
        if offset < end {
            return Some(location);
        }
    }
}

struct Entries<'a> {
    rest: &'a [u8],
    line: i64,
}

impl Entries<'_> {
    /// The next entry: code units it covers, and where they come from. `None` at the end, or
    /// where the table is cut or malformed.
    fn next_entry(&mut self) -> Option<(u8, Location)> {
        let first = self.byte().filter(|byte| byte & 0x80 != 0)?;
        let units = (first & 7).saturating_add(1);
        let location = match (first >> 3) & 15 {
            15 => Location::default(),
            14 => self.long()?,
            13 => {
                self.move_line()?;
                self.on_one_line(None, None)
            }
            code @ 10..=12 => {
                self.line = self.line.saturating_add(i64::from(code).saturating_sub(10));
                let (column, end_column) = (self.byte()?, self.byte()?);
                self.on_one_line(Some(column.into()), Some(end_column.into()))
            }
            code => {
                let low = self.byte()?;
                let column = u32::from(code) << 3 | u32::from(low >> 4 & 7);
                self.on_one_line(Some(column), Some(column.saturating_add((low & 15).into())))
            }
        };
        Some((units, location))
    }

    fn long(&mut self) -> Option<Location> {
        self.move_line()?;
        let lines = self.varint()?;
        let column = self.varint()?.checked_sub(1);
        let end_column = self.varint()?.checked_sub(1);
        let end_line = line_number(self.line.saturating_add(lines.into()));
        Some(Location { line: line_number(self.line), end_line, column, end_column })
    }

    fn on_one_line(&self, column: Option<u32>, end_column: Option<u32>) -> Location {
        let line = line_number(self.line);
        Location { line, end_line: line, column, end_column }
    }

    fn move_line(&mut self) -> Option<()> {
        let coded = self.varint()?;
        let size = i64::from(coded >> 1);
        let delta = if coded & 1 == 1 { size.saturating_neg() } else { size };
        self.line = self.line.saturating_add(delta);
        Some(())
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(6) {
            let byte = self.byte().filter(|byte| byte & 0x80 == 0)?;
            value |= u32::from(byte & 63) << shift;
            if byte & 64 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    fn location(line: u32, end_line: u32, column: u32, end_column: u32) -> Location {
        Location {
            line: Some(line),
            end_line: Some(end_line),
            column: Some(column),
            end_column: Some(end_column),
        }
    }

    /// Entry header as written by the table of the module's documentation.
    fn header(code: u8, units: u8) -> u8 {
        0x80 | code << 3 | (units - 1)
    }

    #[test]
    fn every_form_is_decoded() {
        let table = [
            [header(1, 2), 0x5_3].as_slice(), // short: column 13, 3 wide
            &[header(11, 1), 200, 255],       // one line further
            &[header(13, 1), 0b101],          // two lines back
            &[header(14, 8), 0b1000, 2, 0x40 | 1, 1, 0], // 4 further, to 6, column 64, no end
            &[header(15, 1)],
            &[header(10, 1), 4, 5],
        ]
        .concat();
        let at = |offset| locate(100, &table, offset).expect("inside the table");
        assert_eq!(at(0), location(100, 100, 13, 16));
        assert_eq!(at(3), location(100, 100, 13, 16));
        assert_eq!(at(4), location(101, 101, 200, 255));
        let no_columns = Location { line: Some(99), end_line: Some(99), ..Location::default() };
        assert_eq!(at(6), no_columns);
        assert_eq!(at(8), Location { end_column: None, ..location(103, 105, 64, 0) });
        assert_eq!(at(23), at(8));
        assert_eq!(at(24), Location::default());
        assert_eq!(at(26), location(103, 103, 4, 5));
        assert_eq!(locate(100, &table, 28), None, "behind the table");
    }

    #[test]
    fn a_cut_or_malformed_table_ends_the_search() {
        assert_eq!(locate(1, &[header(14, 1), 0, 0], 0), None);
        assert_eq!(locate(1, &[0x05, 0x01], 0), None, "no entry starts here");
        let endless = [[header(13, 1)].as_slice(), &[0x7f; 40]].concat();
        assert_eq!(locate(1, &endless, 0), None, "a varint of more than 32 bits");
    }

    #[test]
    fn a_line_below_one_is_not_known() {
        assert_eq!(locate(1, &[header(13, 1), 0b111], 0), Some(Location::default()));
    }
}
