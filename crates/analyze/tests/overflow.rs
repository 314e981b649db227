//! A full stack is told from other bad accesses.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use lastwords_synth::{Dump, Region, Thread, memory_info_list};
use serde_json::{Value, json};
use support::*;

const MEMORY_INFO_LIST: u32 = 16;
const LINUX_MAPS: u32 = 0x4767_0009;
const METADATA: u32 = 0x4C57_0002;
const SIGSEGV: u32 = 11;
const SEGV_MAPERR: u32 = 1;
const READ_WRITE: u32 = 4;
const NO_ACCESS: u32 = 1;

const PAGE: u64 = 4096;
/// Lowest address of the thread's stack, and its size.
const LOW: u64 = 0x7fff_f000_0000;
const SIZE: u64 = 8 << 20;

/// The death of thread 7 with this stack pointer and fault address; of its stack the dump holds
/// what lies above the stack pointer.
fn death(sp: u64, fault: u64) -> Dump {
    let start = sp.max(LOW);
    let bytes = usize::try_from((LOW + SIZE - start).min(64 * PAGE)).unwrap();
    let thread = Thread::with_memory(7, STEP.0, sp, 0, vec![0; bytes]).with_stack_at(start);
    dump().thread(thread).crash(7, SIGSEGV, SEGV_MAPERR, fault)
}

/// Heap, a gap or guard of `gap` bytes, the stack.
fn with_map(dump: Dump, gap: u64) -> Dump {
    let regions: [Region; 3] = [
        (LOW - gap - PAGE, PAGE, READ_WRITE),
        (LOW - gap, gap, NO_ACCESS),
        (LOW, SIZE, READ_WRITE),
    ];
    dump.raw_stream(MEMORY_INFO_LIST, memory_info_list(&regions))
}

fn overflow_of(dump: &Dump) -> Value {
    analyze(dump)["crash_info"]["stack_overflow"].clone()
}

fn full(stack_bytes: u64) -> Value {
    json!({"thread": 0, "stack_bytes": stack_bytes, "limit_bytes": null})
}

#[test]
fn a_call_into_the_guard_page_is_a_full_stack() {
    assert_eq!(overflow_of(&with_map(death(LOW, LOW - 8), PAGE)), full(SIZE));
    assert_eq!(overflow_of(&with_map(death(LOW + 40, LOW - 8), PAGE)), full(SIZE - 40));
}

#[test]
fn a_big_frame_whose_stack_pointer_lies_in_the_gap_is_a_full_stack() {
    let sp = LOW - 0x9000;
    assert_eq!(overflow_of(&with_map(death(sp, sp + 0x100), 16 * PAGE)), full(SIZE));
}

#[test]
fn maps_of_linux_say_the_same() {
    let maps = format!(
        "{:x}-{:x} rw-p 00000000 00:00 0 \n{:x}-{:x} rw-p 00000000 00:00 0          [stack]\n",
        LOW - (4 << 20),
        LOW - (2 << 20),
        LOW,
        LOW + SIZE
    );
    let dump = death(LOW + 8, LOW - 16).raw_stream(LINUX_MAPS, maps.clone().into_bytes());
    assert_eq!(overflow_of(&dump), full(SIZE - 8));
    let heap = LOW - (3 << 20);
    let dump = death(LOW + 8, heap).raw_stream(LINUX_MAPS, maps.into_bytes());
    assert_eq!(overflow_of(&dump), Value::Null);
}

#[test]
fn without_a_map_the_memory_of_the_stack_says_it() {
    assert_eq!(overflow_of(&death(LOW, LOW - 8)), full(64 * PAGE));
    assert_eq!(overflow_of(&death(LOW, 0x10)), Value::Null);
}

#[test]
fn other_bad_accesses_are_none() {
    let middle = LOW + SIZE / 2;
    for (sp, fault, why) in [
        (middle, LOW - 8, "the stack pointer is far above: an overrun"),
        (middle, middle - 8, "the fault address can be written"),
        (LOW, 0x10, "a null pointer"),
        (LOW, LOW - PAGE - 8, "the fault address is on the heap"),
        (0x6000_0000_0000, 0x6000_0000_0000 - 8, "a stack pointer that points nowhere"),
    ] {
        assert_eq!(overflow_of(&with_map(death(sp, fault), PAGE)), Value::Null, "{why}");
    }
}

#[test]
fn a_gap_too_wide_to_be_a_guard_is_none() {
    assert_eq!(overflow_of(&with_map(death(LOW + 8, LOW - (3 << 20)), 4 << 20)), Value::Null);
}

#[test]
fn a_signal_that_somebody_sent_is_none() {
    let from_kill = death(LOW, LOW - 8).crash(7, SIGSEGV, 0, LOW - 8);
    assert_eq!(overflow_of(&with_map(from_kill, PAGE)), Value::Null);
    let from_tkill = death(LOW, LOW - 8).crash(7, SIGSEGV, (-6_i32).cast_unsigned(), LOW - 8);
    assert_eq!(overflow_of(&with_map(from_tkill, PAGE)), Value::Null);
    let aborted = death(LOW, LOW - 8).crash(7, 6, 1, LOW - 8);
    assert_eq!(overflow_of(&with_map(aborted, PAGE)), Value::Null);
}

#[test]
fn what_the_writer_found_out_counts_first() {
    let said = |value: Value| {
        let metadata = json!({"mechanism": {"stack_overflow": value}}).to_string();
        death(LOW + SIZE / 2, 0x10).raw_stream(METADATA, metadata.into_bytes())
    };
    let limits = json!({"stack_bytes": 131_072, "limit_bytes": 135_168});
    let expected = json!({"thread": 0, "stack_bytes": 131_072, "limit_bytes": 135_168});
    assert_eq!(overflow_of(&said(limits)), expected);
    assert_eq!(overflow_of(&said(Value::Null)), Value::Null);
    assert_eq!(overflow_of(&said(json!("yes"))), Value::Null);
    assert_eq!(overflow_of(&said(json!({"stack_bytes": -1})))["stack_bytes"], Value::Null);
}

#[test]
fn a_map_that_lies_ends_in_nothing() {
    let regions: [Region; 3] =
        [(u64::MAX - 8, 64, READ_WRITE), (LOW, u64::MAX, READ_WRITE), (LOW, 0, READ_WRITE)];
    let dump = death(LOW, LOW - 8).raw_stream(MEMORY_INFO_LIST, memory_info_list(&regions));
    assert_eq!(overflow_of(&dump), Value::Null);
}
