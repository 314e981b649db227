//! Torn and hostile memory: the reader ends soon, does not panic, and stays within its limits.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use std::sync::OnceLock;
use std::time::Duration;

use lastwords_format::streams::python::{PythonFrame, PythonStream};
use lastwords_pyframes::lines::{LineTableFormat, locate};
use lastwords_pyframes::{
    Error, Limits, Memory, MemoryError, Outcome, RecordingMemory, SOFT_ERROR_CODES, Target,
    read_python,
};
use proptest::prelude::*;
use support::{Recorded, victims};

/// One of each minor version with a table.
const VERSIONS: [u32; 7] =
    [0x0309_12F0, 0x030A_0DF0, 0x030B_07F0, 0x030C_01F0, 0x030D_00F0, 0x030E_0AF0, 0x030F_02F0];

/// Time of the processor; builds without optimization are some twenty times slower.
const MAX_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });

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
    let started = support::thread_time();
    let result = read_python(memory, target, &limits);

    let taken = support::thread_time() - started;
    assert!(taken < MAX_TIME, "took {taken:?}");
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
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_do_no_harm(
        which: prop::sample::Index,
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..200),
    ) {
        let (target, recorded) = &recordings()[which.index(recordings().len())];
        let mut recorded = recorded.clone();
        for (place, value) in &flips {
            damage(&mut recorded, *place, *value);
        }
        let _ = read_bounded(&recorded, target);
    }

    #[test]
    fn missing_ranges_do_no_harm(
        which: prop::sample::Index,
        missing in prop::collection::vec(any::<usize>(), 1..40),
    ) {
        let (target, recorded) = &recordings()[which.index(recordings().len())];
        let mut recorded = recorded.clone();
        for place in &missing {
            let place = place % recorded.ranges.len();
            recorded.ranges.remove(place);
        }
        let _ = read_bounded(&recorded, target);
    }

    #[test]
    fn any_line_table_ends(table in prop::collection::vec(any::<u8>(), 0..600), first_line: i32, lasti: i32) {
        let _ = locate(LineTableFormat::V3_9, first_line, &table, lasti);
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
    for version in VERSIONS {
        for seed in 0..12 {
            for mask in [0xFFFF_FFF8, 0xFFF8, 0x7F8, u64::MAX, 0] {
                let target = Target { runtime_address: 0x1000, python_version: version };
                let _ = read_bounded(&Maze { seed, mask }, &target);
            }
        }
    }
}

/// A process of CPython 3.11 in which all is well, but nothing ends: threads, activations and
/// frames go on, each with names of 4 KiB and a line table of 250 KB of its own.
struct Endless {
    frames_per_activation: u64,
}

impl Endless {
    const RUNTIME: u64 = 1 << 40;
    const INTERPRETER: u64 = 2 << 40;
    const THREADS: u64 = 3 << 40;
    const CFRAMES: u64 = 4 << 40;
    const FRAMES: u64 = 5 << 40;
    const CODES: u64 = 6 << 40;
    const STRINGS: u64 = 7 << 40;
    const TABLES: u64 = 8 << 40;
    const TYPES: u64 = 9 << 40;

    /// The word at a multiple of 8.
    fn word(&self, address: u64) -> u64 {
        let inside = |size: u64| ((address & 0xff_ffff_ffff) / size, address % size);
        let text = |text: &[u8; 8]| u64::from_le_bytes(*text);
        match address & !0xff_ffff_ffff {
            Self::RUNTIME if address == Self::RUNTIME + 40 => Self::INTERPRETER,
            Self::INTERPRETER if address == Self::INTERPRETER + 16 => Self::THREADS,
            Self::THREADS => match inside(0x400) {
                (index, 8) => Self::THREADS + 0x400 * (index + 1),
                (_, 16) => Self::INTERPRETER,
                (index, 56) => Self::CFRAMES + (index << 24),
                _ => 0,
            },
            Self::CFRAMES => match inside(0x20) {
                (index, 8) => Self::FRAMES + 0x80 * index * self.frames_per_activation,
                (index, 16) => Self::CFRAMES + 0x20 * (index + 1),
                _ => 0,
            },
            Self::FRAMES => match inside(0x80) {
                (index, 32) => Self::CODES + 0x1000 * (index % (1 << 26)),
                (index, 48) => Self::FRAMES + 0x80 * (index + 1),
                (index, 56) => Self::CODES + 0x1000 * (index % (1 << 26)) + 184 + 400_000,
                (index, 64) => u64::from((index + 1) % self.frames_per_activation == 0) << 32,
                _ => 0,
            },
            Self::CODES => match inside(0x1000) {
                (_, 8) => Self::TYPES,
                (_, 16) => 300_000,
                (index, 136) => Self::TABLES + 0x40000 * (index % (1 << 22)),
                (index, offset @ 112..=128) => {
                    Self::STRINGS + 0x8000 * index % (1 << 40) + 0x2000 * (offset / 8 - 14)
                }
                _ => 0,
            },
            Self::STRINGS => match inside(0x2000) {
                (_, 8) => Self::TYPES + 0x1000,
                (_, 16) => 4096,
                (_, 32) => 0x80 | 0b11 << 5 | 1 << 2,
                _ => text(b"xxxxxxxx"),
            },
            Self::TABLES => match inside(0x40000) {
                (_, 8) => Self::TYPES + 0x2000,
                (_, 16) => 250_000,
                _ => text(&[0x80 | 15 << 3; 8]),
            },
            Self::TYPES => match address & 0xffff {
                0x18 | 0x1018 | 0x2018 => address + 0x100,
                0x118 => text(b"code\0\0\0\0"),
                0x1118 => text(b"str\0\0\0\0\0"),
                0x2118 => text(b"bytes\0\0\0"),
                _ => 0,
            },
            _ => 0,
        }
    }
}

impl Memory for Endless {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let (first, skipped) = (address & !7, usize::try_from(address % 8).expect("it fits"));
        let words = (buffer.len() + skipped).div_ceil(8) as u64;
        let bytes: Vec<u8> =
            (0..words).flat_map(|i| self.word(first + 8 * i).to_le_bytes()).collect();
        buffer.copy_from_slice(&bytes[skipped..skipped + buffer.len()]);
        Ok(())
    }
}

#[test]
fn what_never_ends_is_cut_by_limits() {
    let target = Target { runtime_address: Endless::RUNTIME, python_version: 0x030B_07F0 };
    for frames_per_activation in [1, 3, 1 << 30] {
        let outcome = read_bounded(&Endless { frames_per_activation }, &target).expect("readable");
        let first = &outcome.stream.threads[0];
        assert_eq!(first.frames[0].name.as_ref().map(String::len), Some(4096));
        assert!(first.is_cut || outcome.stream.is_cut, "{frames_per_activation}");
        assert!(outcome.soft_errors.iter().any(|error| error.code == "python_limit"));
    }
}

fn all_frames(outcome: Outcome) -> Vec<PythonFrame> {
    outcome.stream.threads.into_iter().flat_map(|thread| thread.frames).collect()
}

#[test]
fn another_version_than_the_process_has_gives_no_garbage() {
    for (target, recorded) in recordings() {
        for version in VERSIONS {
            if version >> 16 == target.python_version >> 16 {
                continue;
            }
            let wrong = Target { python_version: version, ..*target };
            let frames = read_bounded(recorded, &wrong).map_or_else(|_| Vec::new(), all_frames);
            assert!(frames.iter().all(|frame| frame.is_partial), "{version:#x} {target:x?}");
        }
    }
}

#[test]
fn unknown_versions_are_refused_by_name() {
    let nothing = Maze { seed: 0, mask: 0 };
    for version in [0x0308_12F0, 0x030B_00A7, 0x030C_00B5, 0x0310_00F0, 0x0400_00F0, 0] {
        let unknown = Target { python_version: version, runtime_address: 0x1000 };
        let error = read_bounded(&nothing, &unknown).expect_err("it is not known");
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

/// The first recording of a version, with a change.
fn damaged(minor: u32, change: impl Fn(&Target, &mut Recorded)) -> Option<(Target, Recorded)> {
    let of_version = |(target, _): &&(Target, _)| target.python_version >> 16 & 0xff == minor;
    let (target, recorded) = recordings().iter().find(of_version)?;
    let mut recorded = recorded.clone();
    change(target, &mut recorded);
    Some((*target, recorded))
}

/// The recordings of the versions that tell their own offsets.
fn with_own_offsets() -> impl Iterator<Item = &'static (Target, Recorded)> {
    recordings().iter().filter(|(target, _)| target.python_version >= 0x030D_0000)
}

fn put(recorded: &mut Recorded, address: u64, value: u64) {
    for (start, bytes) in &mut recorded.ranges {
        let offset = address.checked_sub(*start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(offset) = offset.filter(|offset| offset + 8 <= bytes.len()) {
            return bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    panic!("{address:#x} was not recorded");
}

#[test]
fn offsets_that_cannot_be_right_are_replaced_by_the_built_in_ones() {
    for (target, whole) in with_own_offsets() {
        let expected = read_bounded(whole, target).expect("readable");
        let (thread_state, unicode_state) = match target.python_version >> 16 {
            0x030D => (152, 544),
            0x030E => (176, 624),
            _ => (176, 720),
        };
        let damages = [
            (40, 1 << 40),     // interpreters_head
            (thread_state, 8), // its size
            (unicode_state, u64::MAX),
            (unicode_state, 56), // inside, but not behind the header
        ];
        for (offset, value) in damages {
            let mut recorded = whole.clone();
            put(&mut recorded, target.runtime_address + offset, value);
            let outcome = read_bounded(&recorded, target).expect("readable");
            let codes: Vec<_> = outcome.soft_errors.iter().map(|error| error.code).collect();
            assert_eq!(codes, ["python_layout_assumed"], "{target:x?} {offset}");
            assert_eq!(outcome.stream, expected.stream, "{target:x?} {offset}");
        }
    }
}

#[test]
fn a_table_that_is_none_is_ignored() {
    for (target, whole) in with_own_offsets() {
        let expected = read_bounded(whole, target).expect("readable");
        if expected.stream.is_free_threaded {
            // Nothing else tells that it is, so nothing else can be read.
            let mut recorded = whole.clone();
            put(&mut recorded, target.runtime_address, 0);
            let frames = read_bounded(&recorded, target).map_or_else(|_| Vec::new(), all_frames);
            assert!(frames.iter().all(|frame| frame.is_partial && frame.name.is_none()));
            continue;
        }
        for (offset, value) in [(0, 0), (8, 0x030C_00F0), (16, 1), (16, 7)] {
            let mut recorded = whole.clone();
            put(&mut recorded, target.runtime_address + offset, value);
            let outcome = read_bounded(&recorded, target).expect("readable");
            let codes: Vec<_> = outcome.soft_errors.iter().map(|error| error.code).collect();
            assert_eq!(codes, ["python_layout_assumed"], "{target:x?} {offset}");
            assert_eq!(outcome.stream, expected.stream, "{target:x?} {offset}");
        }
    }
}

/// Without what only a built-in table can tell.
fn as_of_a_stranger(
    mut stream: PythonStream,
    version: u32,
    tells_exceptions: bool,
) -> PythonStream {
    stream.python_version = version;
    for thread in &mut stream.threads {
        thread.exception_type = thread.exception_type.take().filter(|_| tells_exceptions);
    }
    stream
}

#[test]
fn an_unknown_version_is_read_by_the_offsets_that_it_tells() {
    for (target, whole) in with_own_offsets() {
        let expected = read_bounded(whole, target).expect("readable").stream;
        let tells_exceptions = target.python_version >= 0x030F_0000;
        // A future version, a future pre-release, and the beta of a known one.
        let of_same_minor = target.python_version & 0xffff_0000 | 0x00B3;
        for version in [0x0310_00F0, 0x0311_00A1, of_same_minor] {
            let mut recorded = whole.clone();
            put(&mut recorded, target.runtime_address + 8, version.into());
            let stranger = Target { python_version: version, ..*target };
            let outcome = read_bounded(&recorded, &stranger).expect("readable");
            let codes: Vec<_> = outcome.soft_errors.iter().map(|error| error.code).collect();
            assert_eq!(codes, ["python_layout_assumed"], "{version:#x} {target:x?}");
            let expected = as_of_a_stranger(expected.clone(), version, tells_exceptions);
            assert_eq!(outcome.stream, expected, "{version:#x} {target:x?}");
        }
    }
}

#[test]
fn an_unknown_version_whose_table_has_another_shape_is_refused() {
    let version = 0x0310_00F0;
    for (target, whole) in with_own_offsets() {
        for inserted in [5, 11, 20, 30, 45, 51, 62, 69, 87] {
            let mut recorded = whole.clone();
            // One member more, before which all is as it was.
            let members = match target.python_version >> 16 {
                0x030D => 73,
                0x030E => 95,
                _ => 111,
            };
            for index in (inserted..members - 1).rev() {
                let at = target.runtime_address + 8 * index;
                let mut value = [0; 8];
                recorded.read(at, &mut value).expect("recorded");
                put(&mut recorded, at + 8, u64::from_le_bytes(value));
            }
            put(&mut recorded, target.runtime_address + 8, version.into());
            let stranger = Target { python_version: version, ..*target };
            let whole = read_bounded(whole, target).expect("readable").stream;
            match read_bounded(&recorded, &stranger) {
                Err(error) => assert_eq!(error, Error::UnsupportedVersion { version }),
                // The member stands behind all that is used.
                Ok(outcome) => assert_eq!(outcome.stream.threads.len(), whole.threads.len()),
            }
        }
    }
}

#[test]
fn a_gil_that_cannot_be_read_leaves_its_holder_unknown() {
    // PyInterpreterState.ceval.gil of 3.12.
    let change = |target: &Target, recorded: &mut Recorded| {
        let mut head = [0; 8];
        recorded.read(target.runtime_address + 40, &mut head).expect("recorded");
        let mut interpreter = u64::from_le_bytes(head);
        while interpreter != 0 {
            put(recorded, interpreter + 384, 0);
            recorded.read(interpreter, &mut head).expect("recorded");
            interpreter = u64::from_le_bytes(head);
        }
    };
    let Some((target, recorded)) = damaged(12, change) else { return };
    let outcome = read_bounded(&recorded, &target).expect("readable");
    assert_eq!(outcome.stream.gil_holder, None);
    assert!(outcome.soft_errors.iter().all(|error| error.code == "python_gil_unknown"));
    assert!(!outcome.soft_errors.is_empty());
}
