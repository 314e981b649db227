//! A calibration as bytes: what stands in the shared area (shared-area.md), and says where a
//! process's own interpreter has the fields of its structures.
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | version | 1 |
//! | 4 | 4 | u32 | checksum | FNV-1a (32 bits) of all that follows |
//! | 8 | 4 | u32 | python_version | `PY_VERSION_HEX` of the interpreter |
//! | 12 | 4 | u32 | count | of fields, 41 |
//! | 16 | 8 | u64 | verified | bit N: what field N says was compared with what is known, and is it |
//! | 24 | 8 | u64 | corrected | bit N: the built-in offset was wrong; this one was found, and verified |
//! | 32 | 8 | u64 | contradicted | bit N: the offset is wrong, and no other was found |
//! | 40 | 4 × count | u32[] | offsets | of field N from the start of its structure, in bytes; 0xFFFFFFFF = this version has no such field |
//!
//! A field with none of the three bits is assumed: the offset is the built-in one, or what the
//! interpreter tells of itself (`_Py_DebugOffsets`), and nothing was known to compare.
//!
//! Little-endian. The checksum is there because the block lies in memory that the crashing process
//! could write to. A reader of another version leaves it alone, and uses the built-in offsets.
//!
//! Fields, by number:
//!
//! | number | field |
//! |---|---|
//! | 0 | runtime.interpreters_head |
//! | 1 | runtime.finalizing |
//! | 2 | runtime.tstate_current |
//! | 3 | interpreter.next |
//! | 4 | interpreter.id |
//! | 5 | interpreter.threads_head |
//! | 6 | interpreter.gil |
//! | 7 | gil.last_holder |
//! | 8 | gil.locked |
//! | 9 | thread.next |
//! | 10 | thread.interp |
//! | 11 | thread.thread_id |
//! | 12 | thread.native_thread_id |
//! | 13 | thread.exception |
//! | 14 | thread.frame |
//! | 15 | thread.cframe |
//! | 16 | thread.root_cframe |
//! | 17 | thread.current_frame |
//! | 18 | cframe.current_frame |
//! | 19 | cframe.previous |
//! | 20 | frame.code |
//! | 21 | frame.previous |
//! | 22 | frame.instruction |
//! | 23 | frame.owner |
//! | 24 | frame.is_entry |
//! | 25 | code.file |
//! | 26 | code.name |
//! | 27 | code.qualname |
//! | 28 | code.line_table |
//! | 29 | code.first_line |
//! | 30 | code.first_traceable |
//! | 31 | code.bytecode |
//! | 32 | object.type |
//! | 33 | object.size |
//! | 34 | bytes.data |
//! | 35 | str.length |
//! | 36 | str.state |
//! | 37 | str.ascii_data |
//! | 38 | str.compact_data |
//! | 39 | type.name |
//! | 40 | type.flags |

use lastwords_format::Reader;

use super::{ABSENT, Calibration, FIELD_COUNT};

const VERSION: u32 = 1;
const CHECKED_FROM: usize = 8;
/// No structure is so large.
const MOST_OFFSET: u32 = 1 << 20;

impl Calibration {
    /// The block's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u32::try_from(FIELD_COUNT).unwrap_or(0);
        let mut checked = Vec::new();
        checked.extend(self.python_version.to_le_bytes());
        checked.extend(count.to_le_bytes());
        for bits in [self.verified, self.corrected, self.contradicted] {
            checked.extend(bits.to_le_bytes());
        }
        checked.extend(self.offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        [&VERSION.to_le_bytes()[..], &checksum(&checked).to_le_bytes()[..], &checked[..]].concat()
    }

    /// Reads a block; `None` when it is none, damaged, or of another version.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u32("version").ok()? != VERSION {
            return None;
        }
        let is_whole = reader.u32("checksum").ok()? == checksum(bytes.get(CHECKED_FROM..)?);
        let python_version = reader.u32("python_version").ok()?;
        let count = usize::try_from(reader.u32("count").ok()?).ok()?;
        if !is_whole || count != FIELD_COUNT {
            return None;
        }
        let mut bits = [0; 3];
        for bits in &mut bits {
            *bits = reader.u64("verified, corrected, contradicted").ok()?;
        }
        let [verified, corrected, contradicted] = bits;
        let mut offsets = [ABSENT; FIELD_COUNT];
        for offset in &mut offsets {
            *offset = reader.u32("offset").ok()?;
            if *offset != ABSENT && *offset > MOST_OFFSET {
                return None;
            }
        }
        Some(Self { python_version, offsets, verified, corrected, contradicted })
    }
}

/// FNV-1a (draft-eastlake-fnv-17).
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::fields::NAMES;

    fn some() -> Calibration {
        let mut offsets = [ABSENT; FIELD_COUNT];
        for (index, offset) in offsets.iter_mut().enumerate().skip(3) {
            *offset = u32::try_from(index).unwrap();
        }
        Calibration {
            python_version: 0x030B_07F0,
            offsets,
            verified: 0x1_2345_6789,
            corrected: 1 << 40,
            contradicted: 1 << 9,
        }
    }

    #[test]
    fn a_block_survives_the_way() {
        let bytes = some().to_bytes();
        assert_eq!(bytes.len(), 40 + 4 * FIELD_COUNT);
        assert_eq!(Calibration::from_bytes(&bytes), Some(some()));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let bytes = some().to_bytes();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x10;
            assert_eq!(Calibration::from_bytes(&changed), None, "byte {index}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Calibration::from_bytes(&bytes[..length]), None);
        }
    }

    #[test]
    fn an_absurd_offset_is_refused_in_spite_of_its_checksum() {
        let mut absurd = some();
        absurd.offsets[5] = MOST_OFFSET + 1;
        assert_eq!(Calibration::from_bytes(&absurd.to_bytes()), None);
    }

    #[test]
    fn the_table_lists_the_fields_of_the_code() {
        let rows = include_str!("block.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let rows: Vec<&str> = rows.skip_while(|row| *row != "number | field |").skip(1).collect();
        let number = |(number, name): (usize, &&str)| format!("{number} | {name} |");
        let expected: Vec<String> = NAMES.iter().enumerate().map(number).collect();
        assert_eq!(rows, expected);
        assert!(NAMES.len() <= 64, "one bit each");
    }
}
