//! Random damage to a good dump: an orderly answer, soon.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use lastwords_analyze::{Error, Options, analyze_bytes};
use lastwords_synth::{PythonThread, Thread};
use proptest::prelude::*;
use support::*;

fn good_dump() -> Vec<u8> {
    let one = stack(&[STEP, GLUE, CFUNCTION, EVAL, VECTORCALL, THREAD_RUN, START_THREAD]);
    let two = stack_at(STACK + 0x10_0000, &[UNKNOWN, EVAL, THREAD_RUN, START_THREAD]);
    let python = PythonThread {
        exception_type: Some("KeyError"),
        ..on_thread(7, vec![frame("run", one.sp(3) + ANCHOR_IN_EVAL)])
    };
    dump()
        .thread(Thread::new(7, &one).named("worker"))
        .thread(Thread::new(8, &two))
        .crash(7, 11, 1, 0x10)
        .pid(4242)
        .annotation("level", "tundra")
        .soft_errors("[]")
        .python(&process(vec![
            python,
            on_thread(8, vec![frame("two", two.sp(1) + ANCHOR_IN_EVAL)]),
        ]))
        .build()
}

fn read(bytes: Vec<u8>) -> Result<serde_json::Value, Error> {
    let started = Instant::now();
    let options = Options { local_modules: false, ..Options::default() };
    let result = analyze_bytes(Path::new("test.dmp"), bytes, &options);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(60), "took {elapsed:?}");
    result
}

/// Orderly: a whole document, or an error that is not a defect.
fn is_orderly(result: &Result<serde_json::Value, Error>) -> bool {
    let has = |document: &serde_json::Value, key: &str| document.get(key).is_some();
    match result {
        Ok(document) => ["threads", "modules", "crash_info"].iter().all(|key| has(document, key)),
        Err(error) => !matches!(error, Error::Internal { .. }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_are_borne(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..32)) {
        let mut bytes = good_dump();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let result = read(bytes);
        prop_assert!(is_orderly(&result), "{result:?}");
    }

    #[test]
    fn extreme_words_are_borne(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![
            0_u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
        ])), 1..8),
    ) {
        let mut bytes = good_dump();
        for (index, value) in changes {
            let at = index.index(bytes.len() / 4 - 1) * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let result = read(bytes);
        prop_assert!(is_orderly(&result), "{result:?}");
    }

    #[test]
    fn a_cut_is_borne(len in any::<prop::sample::Index>()) {
        let mut bytes = good_dump();
        bytes.truncate(len.index(bytes.len()));
        let result = read(bytes);
        prop_assert!(is_orderly(&result), "{result:?}");
    }

    #[test]
    fn random_bytes_behind_a_header_are_borne(tail in prop::collection::vec(any::<u8>(), 0..2048)) {
        let mut bytes = b"MDMP\x93\xa7\0\0\x08\0\0\0\x20\0\0\0".to_vec();
        bytes.extend(tail);
        let result = read(bytes);
        prop_assert!(is_orderly(&result), "{result:?}");
    }
}

#[test]
fn the_undamaged_dump_is_read_whole() {
    let document = read(good_dump()).unwrap();
    assert_eq!(document["soft_errors"], serde_json::json!([]));
    assert_eq!(document["threads"].as_array().unwrap().len(), 2);
}

#[test]
fn the_same_dump_of_a_big_endian_machine_is_not_mistaken() {
    let mut bytes = good_dump();
    bytes[..4].copy_from_slice(b"PMDM");
    assert!(matches!(read(bytes), Err(Error::Malformed { .. })));
}

#[test]
fn a_module_at_the_end_of_the_address_space_is_borne() {
    let stack = stack(&[STEP, START_THREAD]);
    for (base, size) in [(u64::MAX - 0xfff, 0x1000), (u64::MAX - 0xfff, 0xfff), (u64::MAX, 1)] {
        let module = lastwords_synth::Module::new("/odd.so", base, size);
        let bytes = dump().module(module).thread(Thread::new(7, &stack)).crash(7, 11, 1, 0).build();
        let result = read(bytes);
        assert!(is_orderly(&result), "{base:#x}+{size:#x}: {result:?}");
    }
}

#[test]
fn what_was_cut_off_is_named() {
    let whole = good_dump();
    let complete = read(whole.clone()).unwrap();
    let is_cut =
        |error: &serde_json::Value| error["message"].as_str().unwrap().contains("the file after");
    assert!(!complete["soft_errors"].as_array().unwrap().iter().any(is_cut));
    let count = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    let directory = u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    let memory_list = (0..count)
        .map(|index| &whole[directory + 12 * index..directory + 12 * index + 12])
        .find(|entry| entry[..4] == 5_u32.to_le_bytes())
        .unwrap();
    // The directory tells of a list that is longer than the file.
    let mut bytes = whole.clone();
    let entry = memory_list.as_ptr() as usize - whole.as_ptr() as usize;
    bytes[entry + 4..entry + 8].copy_from_slice(&(whole.len() as u32).to_le_bytes());
    let errors = read(bytes).unwrap()["soft_errors"].clone();
    let named: Vec<_> = errors.as_array().unwrap().iter().filter(|error| is_cut(error)).collect();
    assert_eq!(named.len(), 1, "{errors}");
    assert_eq!(named[0]["code"], "stream_malformed");
    assert_eq!(named[0]["where"], "stream MemoryList");
}
