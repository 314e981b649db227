//! A table of one common entry with an indirect personality pointer, whole and damaged.

#![allow(clippy::arithmetic_side_effects)]

use super::*;

const ADDRESS: u64 = 0x7f00_0000_1000;
const POINTER: usize = 19;

/// `CIE` of `zPR`: version 1, code and data alignment, return address in register 16, then the
/// pointer (indirect, relative, 4 bytes), the encoding of addresses, the rule of the first row.
const CIE: [u8; 32] = [
    28, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'P', b'R', 0, 1, 0x78, 16, 6, 0x9b, 0x44, 0x33, 0x22, 0x11,
    0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0, 0, 0,
];

fn slots(bytes: &[u8]) -> Vec<usize> {
    let bases = BaseAddresses::default().set_eh_frame(ADDRESS);
    let mut found = Vec::new();
    each_slot(&EhFrame::new(bytes, NativeEndian), &bases, |slot| found.push(slot));
    found
}

#[test]
fn the_pointer_of_a_common_entry_is_found() {
    let place = ADDRESS as usize + POINTER - 1;
    assert_eq!(slots(&CIE), [place + 0x1122_3344]);
    assert_eq!(slots(&[CIE, CIE].concat()).len(), 2);
    let mut direct = CIE;
    direct[17] = 0x1b;
    assert_eq!(slots(&direct), [], "nothing to exchange");
}

#[test]
fn damaged_tables_end_and_name_no_more_pointers_than_entries() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let whole = [CIE, CIE, CIE, CIE].concat();
    let mut found = 0;
    for _ in 0..200_000 {
        let mut bytes = whole.clone();
        for _ in 0..=next(6) {
            let at = next(bytes.len());
            bytes[at] = if next(2) == 0 { next(256) as u8 } else { [0, 0xff, 0x80, 0x7f][next(4)] };
        }
        bytes.truncate(bytes.len() - next(2) * next(40));
        let slots = slots(&bytes).len();
        found += slots;
        assert!(slots <= bytes.len() / 8, "{slots} in {bytes:?}");
    }
    assert!(found > 100_000, "{found} were found");
}
