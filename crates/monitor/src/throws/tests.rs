//! Rings as the writer leaves them, whole and torn.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::HashMap;

use lastwords_capture::throws::layout::Class;
use lastwords_pyframes::MemoryError;

use super::*;

const TABLE: u64 = 0x10_0000;
const RING: u64 = 0x20_0000;
const EXCEPTION: u64 = 0x30_0060;
const PAGE: u64 = 0x1_0000;

/// Pieces of memory by their start.
#[derive(Default)]
struct Pieces(HashMap<u64, Vec<u8>>);

impl Memory for Pieces {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let start = address / PAGE * PAGE;
        let at = usize::try_from(address - start).unwrap();
        let bytes = self.0.get(&start).and_then(|piece| piece.get(at..at + buffer.len()));
        let bytes = bytes.ok_or(MemoryError::new(address, buffer.len(), "not mapped"))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn record(sequence: u32, class: Class, what: &str) -> Vec<u8> {
    let mut record = vec![0; RECORD_SIZE];
    put(&mut record, 0, &sequence.to_ne_bytes());
    record[4] = class.code();
    record[6] = 2;
    put(&mut record, 8, &1_000_u64.to_ne_bytes());
    put(&mut record, 16, &EXCEPTION.to_ne_bytes());
    put(&mut record, 24, &(EXCEPTION + 32).to_ne_bytes());
    record[40] = 17;
    record[42] = u8::try_from(what.len()).unwrap();
    record[44] = 1;
    put(&mut record, 48, b"St13runtime_error");
    put(&mut record, 232, what.as_bytes());
    put(&mut record, 496, &0x11_u64.to_ne_bytes());
    put(&mut record, 504, &0x22_u64.to_ne_bytes());
    record
}

fn process(records: &[Vec<u8>], handler_count: i32, handler: u64) -> Pieces {
    let mut table = vec![0; REGION_SIZE];
    put(&mut table, 0, &TABLE_MAGIC);
    put(&mut table, TABLE_RINGS, &RING.to_ne_bytes());
    let mut ring = vec![0; REGION_SIZE];
    put(&mut ring, 0, &RING_MAGIC);
    ring[4] = 7;
    ring[8] = u8::try_from(records.len()).unwrap();
    for (index, record) in records.iter().enumerate() {
        put(&mut ring, RING_RECORDS + index * RECORD_SIZE, record);
    }
    let mut heap = vec![0; 0x100];
    heap[0] = 1;
    put(&mut heap, 0x60 - 40, &handler_count.to_ne_bytes());
    put(&mut heap, 0x60, &u64::from_be_bytes(*b"GNUCC++\0").to_ne_bytes());
    put(&mut heap, 0x60 + 24, &handler.to_ne_bytes());
    Pieces([(TABLE, table), (RING, ring), (EXCEPTION - 0x60, heap)].into())
}

#[test]
fn an_exception_that_nobody_catches_is_what_the_process_died_of() {
    let memory = process(&[record(2, Class::Cpp, "no password=hunter2")], 1, 0);
    let mut throws = read(&memory, TABLE);
    let found = throws.find_uncaught(&memory, 7);
    let text = "no password=[scrubbed]";
    let expected = json!({"type": "St13runtime_error", "what": text, "frames": ["0x11", "0x22"]});
    assert_eq!(found, expected);
    assert_eq!(throws.to_json()[0]["is_uncaught"], json!(true));
}

#[test]
fn an_abort_in_a_handler_is_no_uncaught_exception() {
    for (handler_count, handler, thread) in [(1, 0x7fff, 7), (0, 0, 7), (1, 0, 8)] {
        let memory = process(&[record(2, Class::Cpp, "x")], handler_count, handler);
        let mut throws = read(&memory, TABLE);
        assert_eq!(throws.find_uncaught(&memory, thread), Value::Null);
        assert_eq!(throws.to_json()[0]["is_uncaught"], json!(false));
    }
}

#[test]
fn torn_and_senseless_records_are_left_out() {
    let whole = record(4, Class::Rust, "");
    let torn = record(3, Class::Cpp, "torn");
    let mut of_no_class = record(2, Class::Cpp, "");
    of_no_class[4] = 9;
    let mut long = record(2, Class::Cpp, "");
    put(&mut long, 6, &[0xff; 2]);
    put(&mut long, 40, &[0xff; 4]);
    let memory = process(&[whole, torn, of_no_class, long], 0, 0);
    let throws = read(&memory, TABLE).to_json();
    let classes: Vec<_> = throws.iter().map(|throw| throw["class"].clone()).collect();
    assert_eq!(classes, [json!("cpp"), json!("rust")], "newest first");
    assert_eq!(throws[0]["pcs"].as_array().unwrap().len(), MOST_PCS);
}

#[test]
fn what_is_no_table_has_no_throws() {
    let mut memory = process(&[record(2, Class::Cpp, "x")], 1, 0);
    assert!(read(&memory, 0).to_json().is_empty());
    assert!(read(&memory, RING).to_json().is_empty());
    memory.0.get_mut(&RING).unwrap()[0] = b'?';
    assert!(read(&memory, TABLE).to_json().is_empty());
}

mod hostile;
