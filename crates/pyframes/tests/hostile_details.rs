//! Details of torn and hostile memory: the reader ends soon, does not panic, and stays within
//! its limits.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/packages.rs"]
mod packages;
mod support;

use std::sync::OnceLock;
use std::time::Duration;

use lastwords_pyframes::{
    DetailsOptions, Limits, LocalsLimits, Memory, MemoryError, Outcome, RecordingMemory,
    SOFT_ERROR_CODES, Target, read_python_with_details,
};
use proptest::prelude::*;
use support::details::known_interpreters;
use support::{Recorded, Victim};

/// Time of the processor; builds without optimization are some twenty times slower.
const MAX_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });

fn options() -> DetailsOptions {
    DetailsOptions { locals: Some(LocalsLimits::default()), ..DetailsOptions::default() }
}

/// Records what is read unrecorded, too. Whole pages cannot be read, so that only what is looked
/// at is there to be damaged.
struct Everything<'a>(&'a RecordingMemory<'a>);

impl Memory for Everything<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        if buffer.len() == 4096 && address.is_multiple_of(4096) {
            return Err(MemoryError::new(address, buffer.len(), "a whole page"));
        }
        self.0.read(address, buffer)
    }
}

fn record(victim: &Victim) -> (Target, Recorded) {
    let memory = victim.memory();
    let recording = RecordingMemory::new(&memory, 256 << 20, 1_000_000);
    let everything = Everything(&recording);
    read_python_with_details(&everything, &victim.target, &Limits::default(), &options())
        .expect("readable");
    assert!(!recording.is_cut());
    (victim.target, Recorded::take(&memory, &recording.ranges()))
}

/// All that the reader reads of victims with tasks and of such with greenlets.
fn recordings() -> &'static [(Target, Recorded)] {
    static RECORDINGS: OnceLock<Vec<(Target, Recorded)>> = OnceLock::new();
    RECORDINGS.get_or_init(|| {
        let mut recordings = Vec::new();
        for interpreter in known_interpreters() {
            for script in ["details_victim.py", "tasks_victim.py"] {
                let victim = Victim::start_script(&interpreter, script, None);
                recordings.push(record(&victim));
            }
            if let Some(packages) = packages::install(&interpreter, &["greenlet"]) {
                let script = "greenlets_victim.py";
                let victim = Victim::start_script(&interpreter, script, Some(&packages));
                recordings.push(record(&victim));
            }
        }
        recordings
    })
}

/// Reads, and checks what must hold whatever the memory says.
fn read_bounded(memory: &dyn Memory, target: &Target) -> Option<Outcome> {
    let (limits, options) = (Limits::default(), options());
    let started = support::thread_time();
    let outcome = read_python_with_details(memory, target, &limits, &options).ok();
    let taken = support::thread_time() - started;
    assert!(taken < MAX_TIME, "took {taken:?}");
    let outcome = outcome?;
    let (details, locals) = (&outcome.details, LocalsLimits::default());
    assert!(details.tasks.len() <= options.max_tasks + 1_024);
    assert!(details.tasks.iter().all(|task| task.frames.len() <= options.max_chain_frames));
    assert!(details.greenlets.len() <= options.max_greenlets);
    for thread in &details.threads {
        let exceptions = thread.pending.iter().chain(&thread.handled);
        for exception in exceptions {
            assert!(exception.chain.len() <= options.max_chain);
            let text = exception.text.as_ref().map_or(0, |text| text.chars().count());
            assert!(text <= 6 * options.max_text, "{text}");
        }
    }
    let sizes = details.locals.iter().map(|frame| {
        let size: usize = frame.variables.iter().map(|v| v.name.len() + v.value.len()).sum();
        assert!(size <= locals.max_frame_bytes + 16 * frame.variables.len());
        size
    });
    assert!(sizes.sum::<usize>() <= 2 * locals.max_total_bytes);
    assert!(outcome.soft_errors.len() <= limits.max_soft_errors + 1);
    for error in &outcome.soft_errors {
        assert!(SOFT_ERROR_CODES.iter().any(|(code, _)| *code == error.code), "{error:?}");
    }
    let text = serde_json::to_vec(details).expect("JSON");
    assert!(text.len() < 48 << 20, "{} bytes", text.len());
    Some(outcome)
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

#[test]
fn what_was_recorded_is_enough_to_read_again() {
    let mut has = (false, false);
    for (target, recorded) in recordings() {
        let outcome = read_bounded(recorded, target).expect("readable");
        assert_eq!(outcome.soft_errors, []);
        let details = &outcome.details;
        assert!(!details.locals.is_empty() && !details.threads.is_empty());
        has.0 |= !details.tasks.is_empty();
        has.1 |= !details.greenlets.is_empty();
    }
    assert!(has.0, "there are tasks");
    if !has.1 {
        eprintln!("skipped: no greenlets were read");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_do_no_harm(flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..400)) {
        for (target, recorded) in recordings() {
            let mut recorded = recorded.clone();
            for (place, value) in &flips {
                damage(&mut recorded, *place, *value);
            }
            let _ = read_bounded(&recorded, target);
        }
    }

    #[test]
    fn missing_and_cut_ranges_do_no_harm(missing in prop::collection::vec(any::<(usize, usize)>(), 1..60)) {
        for (target, recorded) in recordings() {
            let mut recorded = recorded.clone();
            for (place, length) in &missing {
                let place = place % recorded.ranges.len();
                let (_, bytes) = &mut recorded.ranges[place];
                bytes.truncate(length % (bytes.len() + 1));
            }
            let _ = read_bounded(&recorded, target);
        }
    }

    #[test]
    fn pointers_to_other_places_do_no_harm(swaps in prop::collection::vec(any::<(usize, usize)>(), 1..100)) {
        for (target, recorded) in recordings() {
            let mut recorded = recorded.clone();
            for (from, to) in &swaps {
                let (address, _) = recorded.ranges[from % recorded.ranges.len()];
                let place = to % recorded.ranges.len();
                let (_, bytes) = &mut recorded.ranges[place];
                let words = bytes.len() / 8;
                if words > 0 {
                    let at = to / 7 % words * 8;
                    bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
                }
            }
            let _ = read_bounded(&recorded, target);
        }
    }
}

/// Sizes and counts in all words that are small numbers: what says how long a thing is.
#[test]
fn absurd_sizes_do_no_harm() {
    for (target, recorded) in recordings() {
        for absurd in [u64::MAX, 1 << 62, 1 << 39, 1 << 31, 0xffff_ffff] {
            for stride in [3, 17] {
                let mut recorded = recorded.clone();
                for (index, (_, bytes)) in recorded.ranges.iter_mut().enumerate() {
                    for word in bytes.chunks_exact_mut(8) {
                        let value = u64::from_le_bytes(word.try_into().expect("8 bytes"));
                        if index % stride == 0 && value != 0 && value < 4096 {
                            word.copy_from_slice(&absurd.to_le_bytes());
                        }
                    }
                }
                let _ = read_bounded(&recorded, target);
            }
        }
    }
}
