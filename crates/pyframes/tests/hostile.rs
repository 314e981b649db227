//! Torn and hostile memory: the reader ends soon, does not panic, and stays within its limits.
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lastwords_pyframes::lines::{LineTableFormat, locate};
use lastwords_pyframes::{
    Error, Limits, Memory, MemoryError, Outcome, RecordingMemory, SOFT_ERROR_CODES, Target,
    read_python,
};
use proptest::prelude::*;
use support::{Recorded, victims};

/// What the reader reads of each victim.
fn recordings() -> &'static [(Target, Recorded)] {
    static RECORDINGS: OnceLock<Vec<(Target, Recorded)>> = OnceLock::new();
    RECORDINGS.get_or_init(|| {
        let record = |(_, victim): &(_, support::Victim)| {
            let memory = victim.memory();
            let recording = RecordingMemory::new(&memory, 16 << 20, 100_000);
            read_python(&recording, &victim.target, &Limits::default()).expect("readable");
            (victim.target, Recorded::take(&memory, &recording.ranges()))
        };
        victims().iter().map(record).collect()
    })
}

/// Reads, and checks what must hold whatever the memory says.
fn read_bounded(memory: &dyn Memory, target: &Target) -> Result<Outcome, Error> {
    let limits = Limits::default();
    let started = Instant::now();
    let result = read_python(memory, target, &limits);
    assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());
    if let Ok(outcome) = &result {
        assert!(outcome.stream.threads.len() <= limits.max_threads);
        assert!(outcome.soft_errors.len() <= limits.max_soft_errors + 1);
        let frames = outcome.stream.threads.iter().map(|thread| thread.frames.len());
        assert!(frames.clone().all(|frames| frames <= limits.max_frames));
        assert!(frames.sum::<usize>() <= limits.max_total_frames);
        for error in &outcome.soft_errors {
            assert!(SOFT_ERROR_CODES.iter().any(|(code, _)| *code == error.code), "{error:?}");
        }
    }
    result
}

fn damage(recorded: &mut Recorded, place: usize, value: u8) {
    let total: usize = recorded.ranges.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut place = place % total;
    for (_, bytes) in &mut recorded.ranges {
        if place < bytes.len() {
            bytes[place] = value;
            return;
        }
        place -= bytes.len();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_do_no_harm(flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..200)) {
        for (target, recorded) in recordings() {
            let mut recorded = recorded.clone();
            for (place, value) in &flips {
                damage(&mut recorded, *place, *value);
            }
            let _ = read_bounded(&recorded, target);
        }
    }

    #[test]
    fn missing_ranges_do_no_harm(missing in prop::collection::vec(any::<usize>(), 1..40)) {
        for (target, recorded) in recordings() {
            let mut recorded = recorded.clone();
            for place in &missing {
                let place = place % recorded.ranges.len();
                recorded.ranges.remove(place);
            }
            let _ = read_bounded(&recorded, target);
        }
    }

    #[test]
    fn any_line_table_ends(table in prop::collection::vec(any::<u8>(), 0..600), first_line: i32, lasti: i32) {
        let _ = locate(LineTableFormat::V3_10, first_line, &table, lasti);
        let _ = locate(LineTableFormat::V3_11, first_line, &table, lasti);
    }
}

/// Memory without holes in which every word is a pointer into it.
struct Maze {
    seed: u64,
    mask: u64,
}

impl Memory for Maze {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        for (index, chunk) in buffer.chunks_mut(8).enumerate() {
            let word = (address + 8 * index as u64).wrapping_add(self.seed);
            let word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) & self.mask;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[test]
fn a_maze_of_pointers_ends() {
    for version in [0x030A_0DF0, 0x030B_07F0, 0x030C_01F0, 0x030D_00F0] {
        for seed in 0..20 {
            for mask in [0xFFFF_FFF8, 0xFFF8, 0x7F8, u64::MAX, 0] {
                let target = Target { runtime_address: 0x1000, python_version: version };
                let _ = read_bounded(&Maze { seed, mask }, &target);
            }
        }
    }
}

/// A process in which every structure is the same 8 KiB of it, with fields that pass checks.
struct Mirror(Vec<u8>);

impl Memory for Mirror {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = self.0[(usize::try_from(address).expect("64-bit") + index) % self.0.len()];
        }
        Ok(())
    }
}

#[test]
fn endless_chains_are_ended_by_limits() {
    // Every recorded range, again and again: chains lead from copy to copy.
    for (target, recorded) in recordings() {
        let bytes: Vec<u8> = recorded.ranges.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let _ = read_bounded(&Mirror(bytes), target);
    }
}

#[test]
fn another_version_than_the_process_has_gives_no_garbage() {
    for (target, recorded) in recordings() {
        for version in [0x030A_0DF0, 0x030B_07F0, 0x030C_01F0, 0x030D_00F0] {
            if version >> 16 == target.python_version >> 16 {
                continue;
            }
            let wrong = Target { python_version: version, ..*target };
            let frames: Vec<_> = match read_bounded(recorded, &wrong) {
                Ok(outcome) => outcome.stream.threads.into_iter().flat_map(|t| t.frames).collect(),
                Err(_) => Vec::new(),
            };
            assert!(frames.iter().all(|frame| frame.is_partial), "{version:#x} {target:x?}");
        }
    }
}

#[test]
fn unknown_versions_are_refused_by_name() {
    let (target, recorded) = &recordings()[0];
    for version in [0x0309_12F0, 0x030B_00A7, 0x030B_00B5, 0x030F_00F0, 0x0400_00F0, 0] {
        let unknown = Target { python_version: version, ..*target };
        let error = read_bounded(recorded, &unknown).expect_err("it is not known");
        assert_eq!(error, Error::UnsupportedVersion { version });
        assert!(error.to_string().contains(&format!("{version:#010x}")), "{error}");
    }
}

#[test]
fn a_runtime_that_is_none_is_an_error() {
    for (target, recorded) in recordings() {
        let nowhere = Target { runtime_address: 0x10, ..*target };
        assert!(matches!(read_bounded(recorded, &nowhere), Err(Error::Memory(_))));
        let nothing = Maze { seed: 0, mask: 0 };
        assert!(matches!(read_bounded(&nothing, target), Err(Error::Implausible { .. })));
    }
}
