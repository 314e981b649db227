//! Random damage to large and packed dumps with every stream of ours: an orderly answer, soon.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use lastwords_analyze::{Error, Options, analyze_file, analyze_source};
use lastwords_synth::{Dump, Thread, ThreadTimes, thread_info_list, utf16};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use support::*;

const HEAP: u64 = 0x5500_0000_0000;
const COMMENT_W: u32 = 11;
const THREAD_INFO_LIST: u32 = 17;

fn throws() -> Value {
    json!([{
        "tid": 7, "time_ns": 1, "type": "St13runtime_error", "what": "no", "exception": "0x60",
        "class": "cpp", "pcs": [format!("{:#x}", STEP.0), "0x22"], "is_uncaught": true,
        "is_rethrow": false, "primary": null,
    }])
}

/// With every stream that a full dump of ours has, and no memory yet.
fn head() -> Dump {
    let times = ThreadTimes { thread_id: 7, ..ThreadTimes::default() };
    let private = [
        (0x4C57_0002, json!({"mechanism": {"type": "signal"}, "annotations": {"a": 1}})),
        (0x4C57_0003, json!([{"time_ns": 1, "level": "info", "message": "began"}])),
        (0x4C57_0004, throws()),
        (
            0x4C57_0008,
            json!({"threads": [{"tstate": "0x10", "name": "a", "pending": {"type": "E"}}],
            "tasks": [{"address": "0x1", "awaited_by": ["0x1"], "frames": [{"name": "f"}]}]}),
        ),
        (0x4C57_0006, json!([{"tid": 7, "syscall": "read", "frames": ["do_sys_read+0x1"]}])),
    ];
    let dump = dump()
        .thread(Thread::new(7, &stack(&[STEP, GLUE, START_THREAD])).named("worker"))
        .crash(7, 11, 1, 0x10)
        .header(0x1826, 1_795_208_721)
        .handle(3, "File", "/app/data")
        .raw_stream(COMMENT_W, utf16("it was slow"))
        .raw_stream(THREAD_INFO_LIST, thread_info_list(&[times]));
    private.into_iter().fold(dump, |dump, (stream_type, value)| {
        dump.raw_stream(stream_type, value.to_string().into_bytes())
    })
}

fn full() -> Vec<u8> {
    let memory = stack(&[STEP, GLUE, START_THREAD]).bytes();
    let mut bytes = head().memory64(&[(HEAP, 0x1000), (STACK, memory.len() as u64)]).build();
    bytes.resize(bytes.len() + 0x1000, 0x55);
    bytes.extend(memory);
    bytes
}

fn options(max_whole_bytes: u64) -> Options {
    Options { local_modules: false, max_whole_bytes, ..Options::default() }
}

fn read(bytes: &[u8], max_whole_bytes: u64) -> Result<Value, Error> {
    let (len, options) = (bytes.len() as u64, options(max_whole_bytes));
    analyze_source(Path::new("x.dmp"), &mut Cursor::new(bytes), len, &options)
}

fn read_packed(bytes: &[u8], max_whole_bytes: u64) -> Result<Value, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.dmp.zst");
    std::fs::write(&path, bytes).unwrap();
    let options = json!({"local_modules": false, "max_whole_bytes": max_whole_bytes});
    let document = analyze_file(&path, options.to_string().as_bytes())?;
    Ok(serde_json::from_slice(&document).unwrap())
}

fn check(result: &Result<Value, Error>) {
    assert!(!matches!(result, Err(Error::Internal { .. })), "{result:?}");
}

#[test]
fn the_whole_one_is_read_with_all_its_streams() {
    let packed = compress_to_vec(&full()[..], CompressionLevel::Fastest);
    for document in [read(&full(), 0), read_packed(&packed, 0), read_packed(&packed, u64::MAX)] {
        let document = document.unwrap();
        assert_eq!(document["soft_errors"], json!([]));
        assert_eq!(document["throws"].as_array().unwrap().len(), 1);
        assert_eq!(document["lastwords"]["breadcrumbs"].as_array().unwrap().len(), 1);
    }
}

type Change = (prop::sample::Index, u8);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24)
}

fn change(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for (index, value) in changes {
        let at = index.index(bytes.len());
        bytes[at] = *value;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_of_a_large_dump_are_borne(changes in changes(), most in 0_u64..20_000) {
        check(&read(&change(full(), &changes), most));
    }

    #[test]
    fn changed_bytes_of_a_packed_dump_are_borne(changes in changes(), most in 0_u64..20_000) {
        let packed = compress_to_vec(&full()[..], CompressionLevel::Fastest);
        check(&read_packed(&change(packed, &changes), most));
    }

    #[test]
    fn a_damaged_dump_that_was_packed_well_is_borne(changes in changes(), most in 0_u64..20_000) {
        let packed = compress_to_vec(&change(full(), &changes)[..], CompressionLevel::Fastest);
        check(&read_packed(&packed, most));
    }
}

/// A zstd frame (RFC 8878) of so many blocks of 128 KiB that repeat a byte, 4 bytes each.
fn bomb(blocks: u32) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x58".to_vec(); // a window of 2 MiB
    for index in 0..blocks {
        let header = u32::from(index + 1 == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0x55);
    }
    frame
}

#[test]
fn what_unpacks_to_a_thousandfold_is_neither_kept_nor_believed() {
    let mut packed = compress_to_vec(&full()[..], CompressionLevel::Fastest);
    packed.extend(bomb(2_000)); // 250 MiB
    let started = Instant::now();
    let document = read_packed(&packed, 1 << 20).unwrap();
    assert_eq!(document["threads"][0]["frame_count"], 3);
    assert!(matches!(read_packed(&bomb(2_000), 1 << 20), Err(Error::NotAMinidump { .. })));
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn ranges_that_overlap_are_left_out() {
    let memory = stack(&[STEP, GLUE, START_THREAD]).bytes();
    let good = (STACK, memory.len() as u64);
    let mut bytes = head().memory64(&[good, (STACK + 8, 64), (STACK, 1 << 40)]).build();
    bytes.extend(memory);
    bytes.resize(bytes.len() + 4096, 0x55);
    let document = read(&bytes, 0).unwrap();
    assert_eq!(document["threads"][0]["frame_count"], 3);
    let errors = document["soft_errors"].to_string();
    assert!(errors.contains("2 ranges of memory overlap others"), "{errors}");
}

#[test]
fn memory_in_very_many_pieces_ends_soon() {
    // What a thread's own pointer leads to is asked for: here 4,096 ranges of one byte each.
    let (threads, page) = (100, 4096);
    let ranges: Vec<(u64, u64)> = (0..threads * page).map(|n| (HEAP + n, 1)).collect();
    let with_thread = |dump: Dump, n: u64| {
        let thread = Thread::with_memory(100 + n as u32, STEP.0, STACK, 0, Vec::new());
        dump.thread(thread.with_thread_pointer(HEAP + n * page))
    };
    let mut bytes = (0..threads).fold(head(), with_thread).memory64(&ranges).build();
    bytes.resize(bytes.len() + ranges.len(), 0x55);
    let started = Instant::now();
    let document = read(&bytes, 0).unwrap();
    assert_eq!(document["threads"].as_array().unwrap().len(), 101);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
