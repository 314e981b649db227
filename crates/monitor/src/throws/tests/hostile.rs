//! Rings and type information that damage has made into something else.

use std::cell::Cell;

use super::*;

const TYPES: u64 = 0x40_0000;

/// Counts what is read.
struct Counted {
    pieces: Pieces,
    reads: Cell<usize>,
}

impl Memory for Counted {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.reads.set(self.reads.get() + 1);
        self.pieces.read(address, buffer)
    }
}

/// Numbers that look random (xorshift64).
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 88_172_645_463_325_252_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below.max(1)).unwrap()).unwrap()
    }
}

/// A type with eight bases, each of which is the type itself.
fn endless_type() -> Vec<u8> {
    let mut types = vec![0; 0x400];
    let word = |types: &mut [u8], at: usize, value: u64| put(types, at, &value.to_ne_bytes());
    word(&mut types, 0, TYPES + 0x108); // its virtual table
    word(&mut types, 8, TYPES + 0x200); // its name
    word(&mut types, 16, 8 << 32); // flags, bases
    for base in 0..8 {
        word(&mut types, 24 + base * 16, TYPES);
        word(&mut types, 32 + base * 16, 2);
    }
    word(&mut types, 0x100, TYPES + 0x180); // what the table stands behind: the type's type
    word(&mut types, 0x188, TYPES + 0x240); // that one's name
    put(&mut types, 0x200, b"7Endless\0");
    put(&mut types, 0x240, b"N10__cxxabiv121__vmi_class_type_infoE\0");
    types
}

#[test]
fn a_type_that_is_its_own_base_is_given_up_soon() {
    let pieces = Pieces([(TYPES, endless_type())].into());
    let memory = Counted { pieces, reads: Cell::new(0) };
    assert_eq!(cpp_object::text(&memory, TYPES, EXCEPTION), None);
    let reads = memory.reads.get();
    assert!((100..2_000).contains(&reads), "{reads} reads");
}

#[test]
fn a_table_full_of_one_ring_gives_no_more_than_the_limit() {
    let mut memory = process(&vec![record(2, Class::Cpp, "x"); RECORDS], 1, 0);
    let table = memory.0.get_mut(&TABLE).unwrap();
    for place in 0..TABLE_PLACES {
        put(table, TABLE_RINGS + place * 8, &RING.to_ne_bytes());
    }
    assert_eq!(read(&memory, TABLE).to_json().len(), MOST_THROWS);
}

#[test]
fn damaged_rings_give_throws_within_their_limits() {
    let mut next = numbers();
    let records = [record(2, Class::Cpp, "one"), record(4, Class::CppDependent, "two")];
    let mut found = 0;
    for _ in 0..3_000 {
        let mut memory = process(&records, 1, 0);
        memory.0.insert(TYPES, endless_type());
        let ring = memory.0.get_mut(&RING).unwrap();
        put(ring, RING_RECORDS + 32, &TYPES.to_ne_bytes());
        for _ in 0..=next(8) {
            let piece = memory.0.get_mut([TABLE, RING, TYPES].get(next(3)).unwrap()).unwrap();
            let at = next(piece.len().min(RING_RECORDS + 2 * RECORD_SIZE));
            piece[at] = u8::try_from(next(256)).unwrap();
        }
        let mut throws = read(&memory, TABLE);
        throws.find_uncaught(&memory, 7);
        for throw in throws.to_json() {
            found += 1;
            let length = |key: &str| throw[key].as_str().map_or(0, |text| text.chars().count());
            assert!(length("type") <= TYPE_SIZE && length("what") <= 4 * WHAT_SIZE, "{throw}");
            assert!(throw["pcs"].as_array().unwrap().len() <= MOST_PCS, "{throw}");
        }
    }
    assert!(found > 1_000, "{found} throws survived");
}
