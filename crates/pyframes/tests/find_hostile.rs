//! Damaged and lying memory, files and address spaces: the search ends in bounded time, without a
//! panic, and finds nothing that is not there.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "find/programs.rs"]
mod programs;
mod support;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use lastwords_pyframes::find::{Files, FindLimits, Found, Mapping, NoFiles, ReadAt, find_within};
use lastwords_pyframes::{Memory, MemoryError};
use programs::{BARE, Disguise, Folder, Waiting, compiled, disguised, shared};
use proptest::prelude::*;

const LIMITS: FindLimits =
    FindLimits { max_time: Duration::from_millis(200), max_bytes: 64 * 1024 * 1024 };
/// Time of the processor beyond the limit, for what goes on between two reads; builds without
/// optimization are some twenty times slower.
const SLACK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 150 });

fn bounded(memory: &dyn Memory, mappings: &[Mapping], files: &dyn Files) -> Vec<Found> {
    let started = support::thread_time();
    let found = find_within(memory, mappings, files, &LIMITS);
    let taken = support::thread_time() - started;
    assert!(taken < LIMITS.max_time + SLACK, "took {taken:?}");
    assert!(found.len() < 1_000, "{} found", found.len());
    found
}

/// All that could be read of a process, changed at will.
#[derive(Clone)]
struct Image {
    mappings: Vec<Mapping>,
    parts: BTreeMap<u64, Vec<u8>>,
}

impl Image {
    fn of(process: &Waiting) -> Self {
        let memory = process.memory();
        let parts = process.mappings.iter().filter(|m| m.is_readable && !m.path.starts_with("[v"));
        let parts = parts.filter_map(|mapping| {
            let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).ok()?];
            memory.read(mapping.start, &mut bytes).ok()?;
            Some((mapping.start, bytes))
        });
        Self { mappings: process.mappings.clone(), parts: parts.collect() }
    }

    fn set(&mut self, address: u64, value: u64) {
        let (start, bytes) = self.parts.range_mut(..=address).next_back().expect("it is mapped");
        let at = usize::try_from(address - start).expect("small");
        if let Some(place) = bytes.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}

impl Memory for Image {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let part = self.parts.range(..=address).next_back();
        let bytes = part.and_then(|(start, bytes)| {
            let at = usize::try_from(address - start).ok()?;
            bytes.get(at..at.checked_add(buffer.len())?)
        });
        let bytes = bytes.ok_or_else(|| MemoryError::new(address, buffer.len(), "not there"))?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// The oldest and the newest interpreter, as they are and without any name.
fn images() -> &'static [Image] {
    static IMAGES: OnceLock<Vec<Image>> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let all = shared();
        let chosen = all.first().into_iter().chain(all.last());
        let start = |shared: &programs::Shared, disguise: Disguise| {
            let folder = Folder::new();
            let copy = folder.path("engine.so");
            disguised(&shared.library, &copy, disguise);
            Image::of(&Waiting::python(&compiled("host"), &[&copy], &shared.home))
        };
        let disguises = [Disguise { strips: true, ..Disguise::default() }, BARE];
        chosen.flat_map(|shared| disguises.map(|disguise| start(shared, disguise))).collect()
    })
}

/// Where damage does most: the headers and tables at a file's start, and its data.
fn target(image: &Image, choice: u64, place: u64) -> u64 {
    let is_own = |m: &&Mapping| m.path.contains("engine.so") && m.is_readable;
    let own: Vec<&Mapping> = image.mappings.iter().filter(is_own).collect();
    let first = own.first().expect("it is mapped");
    let mapping = own[usize::try_from(choice).expect("small") % own.len()];
    match choice % 4 {
        0 => first.start + place % 64 / 8 * 8,
        1 => first.start + place % 0x400 / 8 * 8,
        _ => mapping.start + place % (mapping.end - mapping.start) / 8 * 8,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn damaged_images_end_in_bounded_time(
        which in 0_usize..4,
        damage in proptest::collection::vec((any::<u64>(), any::<u64>(), 0_u64..6), 1..200),
    ) {
        let Some(image) = images().get(which) else { return Ok(()) };
        let mut image = image.clone();
        for (choice, place, kind) in damage {
            let address = target(&image, choice, place);
            let value = [0, u64::MAX, address, 1 << 40, place, 0x7fff_ffff_ffff_fff8];
            image.set(address, value[usize::try_from(kind).expect("small")]);
        }
        bounded(&image, &image.mappings, &NoFiles);
    }
}

/// Memory that answers everything, so that every structure leads on to another one.
struct Liar(u64);

impl Memory for Liar {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        for (index, word) in buffer.chunks_mut(8).enumerate() {
            let at = address.wrapping_add(8 * index as u64);
            let value = match (self.0, at % 0x1000) {
                (_, 0) => u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\0"),
                (_, 32) => 64,
                (_, 48) => 256 << 56 | 56 << 48,
                (1, _) => at & !0xFFF,
                (2, _) => at.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0x7fff_ffff_fff8,
                _ => u64::from_le_bytes(*b"xdebugpy"),
            };
            word.copy_from_slice(&value.to_le_bytes()[..word.len()]);
        }
        Ok(())
    }
}

/// Files without end that say anything.
struct LyingFiles(u64);

impl Files for LyingFiles {
    fn open(&self, _: &str) -> Option<Box<dyn ReadAt>> {
        Some(Box::new(Self(self.0)))
    }
}

impl ReadAt for LyingFiles {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        Liar(self.0).read(offset, buffer).map_err(std::io::Error::other)
    }
}

fn lying_mappings(count: u64, size: u64) -> Vec<Mapping> {
    let mapping = |index: u64| Mapping {
        start: 0x10_0000 + index * size,
        end: 0x10_0000 + (index + 1) * size,
        path: if index.is_multiple_of(3) {
            String::new()
        } else {
            format!("/x/libpython{index}.so")
        },
        is_readable: true,
        is_writable: index.is_multiple_of(2),
        is_executable: index.is_multiple_of(5) || index.is_multiple_of(2),
        is_file: !index.is_multiple_of(3),
        ..Mapping::default()
    };
    (0..count).map(mapping).collect()
}

#[test]
fn memory_and_files_that_lie_cost_no_more_than_the_limits() {
    for kind in 0..3 {
        for (count, size) in [(10, 1 << 40), (5_000, 1 << 21), (60_000, 0x1000)] {
            let mappings = lying_mappings(count, size);
            bounded(&Liar(kind), &mappings, &NoFiles);
            bounded(&Liar(kind), &mappings, &LyingFiles(kind));
        }
    }
}

#[test]
fn an_impossible_address_space_is_no_matter() {
    let whole = Mapping { end: u64::MAX, is_readable: true, ..Mapping::default() };
    let inverted = Mapping { start: 0x2000, end: 0x1000, ..whole.clone() };
    let mappings = [
        Mapping { is_writable: true, is_executable: true, is_file: true, ..whole.clone() },
        Mapping { path: "/python".to_owned(), offset: u64::MAX, is_file: true, ..whole.clone() },
        Mapping { start: u64::MAX - 7, is_executable: true, ..whole.clone() },
        whole,
        inverted,
    ];
    for kind in 0..3 {
        bounded(&Liar(kind), &mappings, &LyingFiles(kind));
    }
    struct Nothing;
    impl Memory for Nothing {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            Err(MemoryError::new(address, buffer.len(), "nothing is there"))
        }
    }
    assert_eq!(bounded(&Nothing, &mappings, &LyingFiles(1)), []);
    assert_eq!(bounded(&Nothing, &[], &NoFiles), []);
}

#[test]
fn undamaged_images_are_found_in_the_same_limits() {
    for image in images() {
        let found = find_within(image, &image.mappings, &NoFiles, &programs::unhurried());
        assert!(found.first().is_some_and(|found| found.is_running), "{found:x?}");
    }
}
