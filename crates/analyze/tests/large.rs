//! Dumps that are larger than memory.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use lastwords_analyze::{Error, Options, analyze_file, analyze_source};
use lastwords_synth::{Dump, Stack, Thread};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use support::*;

const HEAP: u64 = 0x5500_0000_0000;
const HEAP_BYTES: u64 = 6 << 30;
/// The memory that holds the stack begins below it.
const BELOW: u64 = 0x10_0000;
const ABOVE: u64 = 0x4000;

/// A dump whose memory is the heap, then the memory around `stack`.
fn full(stack: &Stack, heap_bytes: u64) -> (Dump, Vec<u8>) {
    let mut memory = vec![0; usize::try_from(BELOW).unwrap()];
    memory.extend(stack.bytes());
    memory.resize(memory.len() + usize::try_from(ABOVE).unwrap(), 0);
    let low = stack.base() - BELOW;
    let dump = dump()
        .thread(Thread::new(7, stack))
        .crash(7, 11, 1, 0x10)
        .memory64(&[(HEAP, heap_bytes), (low, memory.len() as u64)]);
    (dump, memory)
}

/// Counts what is read.
struct Counted<S> {
    source: S,
    bytes: u64,
}

impl<S: Read> Read for Counted<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<S: Seek> Seek for Counted<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

fn analyze_counted<S: Read + Seek>(source: S, max_whole_bytes: u64) -> (Value, u64) {
    let folder = tempfile::tempdir().unwrap();
    write_symbols(folder.path());
    let options = Options {
        symbols: vec![folder.path().to_owned()],
        local_modules: false,
        max_whole_bytes,
        ..Options::default()
    };
    let mut source = Counted { source, bytes: 0 };
    let len = source.seek(SeekFrom::End(0)).unwrap();
    source.rewind().unwrap();
    let document = analyze_source(Path::new("big.dmp"), &mut source, len, &options).unwrap();
    (document, source.bytes)
}

/// Without the modules, which name the folder of this run's symbols.
fn without_modules(mut document: Value) -> Value {
    document.as_object_mut().unwrap().remove("modules");
    document
}

fn three_frames() -> Stack {
    stack(&[STEP, GLUE, START_THREAD])
}

const THREE: [&str; 3] = ["heat::step(int)", "heat_glue", "start_thread"];

#[test]
fn a_dump_of_6_gib_is_analysed_with_what_its_stacks_need() {
    let (dump, memory) = full(&three_frames(), HEAP_BYTES);
    let head = dump.build();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&head).unwrap();
    file.seek(SeekFrom::Start(head.len() as u64 + HEAP_BYTES)).unwrap();
    file.write_all(&memory).unwrap();
    let (document, read) = analyze_counted::<File>(file, Options::default().max_whole_bytes);
    assert_eq!(frames_of(&document, 0), THREE);
    assert_eq!(document["soft_errors"], json!([]));
    assert_eq!(document["lastwords"]["dump"]["kind"], "full");
    assert!(read < 1 << 20, "{read} bytes were read");
}

#[test]
fn the_document_is_that_of_the_whole_file() {
    let (dump, memory) = full(&three_frames(), 0x10_0000);
    let mut bytes = dump.build();
    bytes.resize(bytes.len() + 0x10_0000, 0x55);
    bytes.extend(memory);
    let (whole, _) = analyze_counted(Cursor::new(&bytes), u64::MAX);
    let (parts, read) = analyze_counted(Cursor::new(&bytes), 0);
    assert_eq!(without_modules(parts), without_modules(whole));
    assert!(read < bytes.len() as u64 / 2, "{read} of {}", bytes.len());
}

#[test]
fn a_packed_dump_that_is_too_large_to_unpack_says_the_same() {
    let (dump, memory) = full(&three_frames(), 0x10_0000);
    let mut bytes = dump.build();
    bytes.resize(bytes.len() + 0x10_0000, 0x55);
    bytes.extend(memory);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.dmp.zst");
    std::fs::write(&path, compress_to_vec(&bytes[..], CompressionLevel::Fastest)).unwrap();
    let document = |max_whole_bytes: u64| {
        let options = json!({"local_modules": false, "max_whole_bytes": max_whole_bytes});
        let document = analyze_file(&path, options.to_string().as_bytes()).unwrap();
        serde_json::from_slice::<Value>(&document).unwrap()
    };
    let whole = document(u64::from(u32::MAX));
    assert_eq!(whole["threads"][0]["frame_count"], 3);
    assert_eq!(document(0), whole);
    assert_eq!(document(64 << 10), whole);
}

#[test]
fn a_list_that_leads_behind_the_end_keeps_what_is_there() {
    let (dump, memory) = full(&three_frames(), 0x1000);
    let mut bytes = dump.memory64(&[(STACK - BELOW, memory.len() as u64), (HEAP, 0x1000)]).build();
    bytes.extend(memory);
    bytes.extend([7; 0x234]);
    for max_whole_bytes in [0, u64::MAX] {
        let (document, _) = analyze_counted(Cursor::new(&bytes), max_whole_bytes);
        assert_eq!(frames_of(&document, 0), THREE);
        let errors = document["soft_errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0]["where"], "stream Memory64List");
        assert_eq!(errors[0]["message"], "3532 bytes of memory lie behind the file's end");
    }
}

#[test]
fn a_full_stack_whose_pointer_lies_in_the_gap_is_found() {
    let stack = three_frames();
    let memory = stack.bytes();
    let thread = Thread::with_memory(7, STEP.0, STACK - 0x2000, 0, Vec::new()).with_stack_at(STACK);
    let dump = dump()
        .thread(thread)
        .crash(7, 11, 1, STACK - 0x1000)
        .memory64(&[(HEAP, 0x1000), (STACK, memory.len() as u64)]);
    let mut bytes = dump.build();
    bytes.extend([0; 0x1000]);
    bytes.extend(memory);
    let (parts, _) = analyze_counted(Cursor::new(&bytes), 0);
    let (whole, _) = analyze_counted(Cursor::new(&bytes), u64::MAX);
    assert!(parts["crash_info"]["stack_overflow"].is_object());
    assert_eq!(without_modules(parts), without_modules(whole));
}

#[test]
fn the_list_of_memory_completes_a_stack_that_the_writer_cut() {
    // The thread's own entry ends behind its first frame; the bytes of the list go on.
    let stack = three_frames();
    let dump = dump().crash(7, 11, 1, 0x10).thread(Thread::new(7, &stack));
    let mut bytes = dump.memory64(&[(STACK, stack.bytes().len() as u64)]).build();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut entries = (0..word(8)).map(|index| word(12) + index * 12);
    let list = entries.find(|at| word(*at) == 3).map(|at| word(at + 8)).unwrap();
    let place = list + 4 + 32;
    let rva = u32::try_from(bytes.len()).unwrap();
    bytes[place..place + 4].copy_from_slice(&STEP.1.to_le_bytes()[..4]);
    bytes[place + 4..place + 8].copy_from_slice(&rva.to_le_bytes());
    bytes.extend(stack.bytes());
    for max_whole_bytes in [0, u64::MAX] {
        let (document, _) = analyze_counted(Cursor::new(&bytes), max_whole_bytes);
        assert_eq!(frames_of(&document, 0), THREE);
    }
}

#[test]
fn a_head_without_memory_is_read_as_it_is() {
    let bytes = dump().thread(Thread::new(7, &three_frames())).build();
    let (document, _) = analyze_counted(Cursor::new(&bytes), 0);
    assert_eq!(frames_of(&document, 0), THREE);
}

/// Offsets of the entry of the list in the directory, and of the list.
fn places(bytes: &[u8]) -> (usize, usize) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let entries = (0..word(8)).map(|index| word(12) + index * 12);
    let entry = entries.into_iter().find(|at| word(*at) == 9).unwrap();
    (entry, word(entry + 8))
}

#[test]
fn lists_that_lie_are_bounded() {
    let (dump, memory) = full(&three_frames(), 0x1000);
    let mut good = dump.build();
    good.extend([0; 0x1000]);
    good.extend(memory);
    let (entry, list) = places(&good);
    let lies: [(usize, &[u8]); 10] = [
        (list, &u64::MAX.to_le_bytes()), // count
        (list, &0_u64.to_le_bytes()),
        (list + 8, &u64::MAX.to_le_bytes()), // base
        (list + 8, &0_u64.to_le_bytes()),
        (list + 16, &u64::MAX.to_le_bytes()), // start
        (list + 24, &u64::MAX.to_le_bytes()), // size
        (list + 24, &(1_u64 << 63).to_le_bytes()),
        (entry + 4, &u32::MAX.to_le_bytes()), // size of the stream
        (entry + 8, &u32::MAX.to_le_bytes()), // offset of the stream
        (8, &u32::MAX.to_le_bytes()),         // count of streams
    ];
    for (at, lie) in lies {
        let mut bytes = good.clone();
        bytes[at..at + lie.len()].copy_from_slice(lie);
        let options = Options { local_modules: false, max_whole_bytes: 0, ..Options::default() };
        let len = bytes.len() as u64;
        let mut source = Counted { source: Cursor::new(bytes), bytes: 0 };
        let result = analyze_source(Path::new("x.dmp"), &mut source, len, &options);
        assert!(!matches!(result, Err(Error::Internal { .. })), "at {at}");
        assert!(source.bytes < 4 * len, "at {at}: {} bytes read of {len}", source.bytes);
    }
    for end in 0..good.len().min(3_000) {
        let options = Options { local_modules: false, max_whole_bytes: 0, ..Options::default() };
        let result = analyze_source(
            Path::new("x.dmp"),
            &mut Cursor::new(&good[..end]),
            end as u64,
            &options,
        );
        assert!(!matches!(result, Err(Error::Internal { .. })), "cut at {end}");
    }
}
