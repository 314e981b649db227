//! What may hold an interpreter: loaded images, and code without one.
//!
//! Any module may: CPython is linked into programs, renamed, unpacked into nameless memory. Where a
//! module ends is taken from its program headers, which are the process's own memory and may claim
//! anything: nothing reaches into the next file.

use std::ops::Range;

use super::dynamic_symbols::DynamicSymbols;
use super::image::Image;
use super::reach::Reach;
use super::{Mapping, Way};
use crate::memory::Memory;

const MOST_MODULES: usize = 4096;
/// Mappings that one module can have.
const MOST_MAPPINGS: usize = 1024;
/// Code and constants of CPython take more than this, however they are built.
pub(super) const LEAST_INTERPRETER: u64 = 1024 * 1024;
/// Between segments that belong together; linkers align them to huge pages.
const MOST_GAP: u64 = 2 * 1024 * 1024;
/// Zeroed data behind the last mapping of a file whose headers cannot be read.
const MOST_ZEROED: u64 = 16 * 1024 * 1024;

/// One loaded image, or a run of nameless mappings with code.
pub(super) struct Module<'m> {
    /// Its first mapping.
    pub(super) first: &'m Mapping,
    pub(super) end: u64,
    /// `None` where no ELF header stands.
    pub(super) image: Option<Image>,
    /// `None` for programs that are linked with nothing.
    pub(super) symbols: Option<DynamicSymbols>,
    /// Runtimes that were seen in it, whether they run or not.
    pub(super) seen: Vec<(u64, Way)>,
    /// Something in it speaks of CPython.
    pub(super) is_hinted: bool,
}

impl<'m> Module<'m> {
    fn new(reach: &Reach<'_>, first: &'m Mapping, end: u64, image: Option<Image>) -> Self {
        let base = first.start;
        let symbols = image.as_ref().and_then(|image| DynamicSymbols::read(reach, image, base));
        Self { first, end, image, symbols, seen: Vec::new(), is_hinted: false }
    }

    /// Name of its file.
    pub(super) fn name(&self) -> &'m str {
        self.first.path.rsplit('/').next().unwrap_or("")
    }

    pub(super) fn is_named_python(&self) -> bool {
        self.name().to_ascii_lowercase().contains("python")
    }

    /// Whether it is large enough.
    pub(super) fn is_large(&self) -> bool {
        self.end.saturating_sub(self.first.start) >= LEAST_INTERPRETER
    }

    /// Address of a symbol that it exports.
    pub(super) fn exported(&self, memory: &dyn Memory, name: &str) -> Option<u64> {
        self.symbols.as_ref()?.find(memory, name)
    }

    /// How likely it is to hold the interpreter; small is likely. A library comes before the
    /// program, which may be a few lines that call the library.
    pub(super) fn rank(&self) -> u8 {
        match (self.is_named_python(), self.name().starts_with("lib")) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        }
    }

    /// The parts of its mappings that are data.
    pub(super) fn data(&self, reach: &Reach<'_>) -> Vec<Range<u64>> {
        self.parts(reach, |mapping| mapping.is_readable && mapping.is_writable)
    }

    /// The parts that never change, those without code first.
    pub(super) fn constants(&self, reach: &Reach<'_>) -> Vec<Range<u64>> {
        let constant = |m: &Mapping| m.is_readable && !m.is_writable;
        let mut parts = self.parts(reach, |m| constant(m) && !m.is_executable);
        parts.extend(self.parts(reach, |m| constant(m) && m.is_executable));
        parts
    }

    fn parts(&self, reach: &Reach<'_>, is_meant: impl Fn(&Mapping) -> bool) -> Vec<Range<u64>> {
        let start = self.first.start;
        let from = reach.mappings.partition_point(|mapping| mapping.end <= start);
        let own = reach.mappings.iter().skip(from).take_while(|m| m.start < self.end);
        let own = own.take(MOST_MAPPINGS).filter(|mapping| is_meant(mapping));
        own.map(|mapping| mapping.start.max(start)..mapping.end.min(self.end)).collect()
    }
}

/// Everything that may hold an interpreter, likely ones first.
pub(super) fn list<'m>(reach: &Reach<'m>) -> Vec<Module<'m>> {
    let mut modules: Vec<Module<'m>> = Vec::new();
    for (index, mapping) in reach.mappings.iter().enumerate() {
        let end = modules.last().map_or(0, |module| module.end);
        if modules.len() >= MOST_MODULES || reach.is_exhausted() {
            break;
        }
        if mapping.is_readable && (starts_file(reach, index) || is_nameless(mapping)) {
            let is_inside = mapping.start < end && !mapping.is_file;
            modules.extend((!is_inside).then(|| module(reach, index, mapping)).flatten());
        }
    }
    modules.sort_by_key(Module::rank);
    modules
}

/// Whether a file begins here: at its start, or at a part of it, such as a library in an archive.
fn starts_file(reach: &Reach<'_>, index: usize) -> bool {
    let Some(mapping) = reach.mappings.get(index) else { return false };
    let before = index.checked_sub(1).and_then(|index| reach.mappings.get(index));
    let is_other = before.is_none_or(|before| before.path != mapping.path);
    mapping.is_file && !mapping.path.starts_with("/dev/") && (mapping.offset == 0 || is_other)
}

/// Memory that names nothing, or only what somebody called it.
fn is_nameless(mapping: &Mapping) -> bool {
    let is_plain = mapping.path.is_empty() || mapping.path.starts_with("[anon");
    is_plain && !mapping.is_file || mapping.path.starts_with("/memfd:")
}

fn module<'m>(reach: &Reach<'m>, index: usize, first: &'m Mapping) -> Option<Module<'m>> {
    let image = Image::read(reach, first.start);
    if image.is_none() && !first.is_file {
        return None;
    }
    let behind = reach.mappings.get(index..)?;
    let own = behind.iter().take(MOST_MAPPINGS).take_while(|m| m.path == first.path);
    let file_end = own.map(|mapping| mapping.end).max()?;
    let is_other = |m: &&&Mapping| m.is_file && m.path != first.path;
    let limit = behind.iter().take(MOST_MAPPINGS).find(is_other).map_or(u64::MAX, |m| m.start);
    let claimed = match &image {
        Some(image) => first.start.saturating_add(image.size(first.start)),
        None => zeroed_end(behind, file_end),
    };
    let end = claimed.min(limit).max(file_end);
    let mut own = behind.iter().take(MOST_MAPPINGS).take_while(|mapping| mapping.start < end);
    let has_code = own.any(|mapping| mapping.is_executable);
    has_code.then(|| Module::new(reach, first, end, image))
}

/// Where the nameless memory ends that follows a file directly.
fn zeroed_end(mappings: &[&Mapping], file_end: u64) -> u64 {
    let next = mappings.iter().find(|mapping| mapping.start == file_end);
    let end = next.filter(|mapping| is_nameless(mapping)).map_or(file_end, |m| m.end);
    end.min(file_end.saturating_add(MOST_ZEROED))
}

/// Runs of nameless mappings with much code and no image around them: a program that was unpacked
/// into memory.
pub(super) fn unpacked<'m>(reach: &Reach<'m>, modules: &[Module<'m>]) -> Vec<Module<'m>> {
    let mut taken: Vec<(u64, u64)> = modules.iter().map(|m| (m.first.start, m.end)).collect();
    taken.sort_unstable();
    let is_inside = |address: u64| {
        let behind = taken.partition_point(|(start, _)| *start <= address);
        let last = behind.checked_sub(1).and_then(|index| taken.get(index));
        last.is_some_and(|(_, end)| address < *end)
    };
    let is_free = |m: &&&Mapping| is_nameless(m) && m.is_readable && !is_inside(m.start);
    let mut found: Vec<Module<'m>> = Vec::new();
    let mut code = 0_u64;
    for mapping in reach.mappings.iter().filter(is_free) {
        let size = mapping.end.saturating_sub(mapping.start);
        let added = if mapping.is_executable { size } else { 0 };
        let run = found.last_mut();
        match run.filter(|run| mapping.start.saturating_sub(run.end) <= MOST_GAP) {
            Some(run) => {
                run.end = mapping.end;
                code = code.saturating_add(added);
            }
            None => {
                drop_small(&mut found, code);
                found.push(Module::new(reach, mapping, mapping.end, None));
                code = added;
            }
        }
    }
    drop_small(&mut found, code);
    found
}

/// Forgets the last run if it has too little code.
fn drop_small(runs: &mut Vec<Module<'_>>, code: u64) {
    if code < LEAST_INTERPRETER {
        runs.pop();
    }
}
