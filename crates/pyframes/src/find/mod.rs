//! Finding the interpreter in a process, a core file or a dump that does not tell where it is.
//!
//! Everything starts at `_PyRuntime`. In this order, each way tried on every module that may hold
//! CPython, until a runtime with an interpreter and a thread is found:
//!
//! | way | what it needs |
//! |---|---|
//! | dynamic symbol `_PyRuntime` | that the interpreter exports it: shared libraries, most programs |
//! | the file's own symbols | a file that was not stripped |
//! | the section `.PyRuntime` | a file with section headers; CPython 3.10 and later (`Python/pylifecycle.c`) |
//! | the cookie `xdebugpy` | nothing but data; CPython 3.13 and later |
//! | back pointers | nothing but data: an interpreter state whose thread state points back to it |
//!
//! Any module may hold it: renamed, linked into a program, unpacked into nameless memory. Only names
//! and exports of all modules are looked at; scans are made where something speaks of CPython
//! (`hints.rs`), so that a process of something else costs next to nothing. What is read is another
//! process's memory and anybody's file: each read is paid from one budget of time and bytes.

mod check;
mod dynamic_symbols;
mod file_symbols;
mod files;
mod hints;
mod image;
mod modules;
mod reach;
mod scan;
mod text;
mod version;

use std::collections::HashSet;
use std::time::Duration;

use self::file_symbols::Sections;
use self::hints::Hints;
use self::modules::Module;
use self::reach::Reach;
use crate::memory::Memory;

pub use dynamic_symbols::symbol_address;
#[cfg(target_os = "linux")]
pub use files::ProcessFiles;
pub use files::{Files, LocalFiles, NoFiles, ReadAt};
pub use image::Image;

const RUNTIME: &str = "_PyRuntime";
const RUNTIME_SECTION: &[u8] = b".PyRuntime";

/// One range of an address space, as `/proc/PID/maps`, the notes of a core file or a dump tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// Where it begins in its file, in bytes.
    pub offset: u64,
    /// Path of the file as it stands there, also `[heap]`, or with ` (deleted)` behind it; empty =
    /// none.
    pub path: String,
    /// It can be read. Where permissions are not known, set all three.
    pub is_readable: bool,
    /// It can be written to.
    pub is_writable: bool,
    /// It is code.
    pub is_executable: bool,
    /// It is (a private copy of) a file's content.
    pub is_file: bool,
}

/// How a runtime was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Exported.
    DynamicSymbol,
    /// Named by the file's symbol table.
    FileSymbol,
    /// The file has a section for it.
    Section,
    /// It begins with `xdebugpy`.
    Cookie,
    /// Its interpreters' threads point back to them.
    BackPointer,
}

/// A runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Address of `_PyRuntime`.
    pub runtime_address: u64,
    /// `PY_VERSION_HEX`; a release of micro version 0 where only the minor version is known.
    pub python_version: u32,
    /// How.
    pub way: Way,
    /// Whether an interpreter with a thread was seen there. False before it starts and after it
    /// has ended, in copies of its data, and for versions whose layout is not known.
    pub is_running: bool,
}

/// Bounds of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindLimits {
    /// Time of all.
    pub max_time: Duration,
    /// Bytes read, of memory and files together.
    pub max_bytes: u64,
}

impl Default for FindLimits {
    fn default() -> Self {
        Self { max_time: check::MAX_TIME, max_bytes: 256 * 1024 * 1024 }
    }
}

/// Finds the runtimes of CPython, those that run first; nothing where there is none.
///
/// The memory may be changing, but then what is found may be torn. Costs some five reads a module
/// where `_PyRuntime` is exported; a process without Python about as much, and its files' section
/// headers.
#[must_use]
pub fn find(memory: &dyn Memory, mappings: &[Mapping], files: &dyn Files) -> Vec<Found> {
    find_within(memory, mappings, files, &FindLimits::default())
}

/// As [`find`], within other limits.
#[must_use]
pub fn find_within(
    memory: &dyn Memory,
    mappings: &[Mapping],
    files: &dyn Files,
    limits: &FindLimits,
) -> Vec<Found> {
    let reach = Reach::new(memory, mappings, files, limits);
    let modules = modules::list(&reach);
    let mut search = Search { reach: &reach, modules, met: HashSet::new(), found: Vec::new() };
    search.run();
    let mut found = search.found;
    found.sort_by_key(|found| (!found.is_running, found.way));
    found
}

struct Search<'r, 'm> {
    reach: &'r Reach<'m>,
    modules: Vec<Module<'m>>,
    met: HashSet<u64>,
    found: Vec<Found>,
}

impl<'m> Search<'_, 'm> {
    fn run(&mut self) {
        self.each(|search, module| {
            let address = module.exported(search.reach, RUNTIME)?;
            Some(vec![(address, Way::DynamicSymbol)])
        });
        if self.is_done() {
            return;
        }
        self.note_hints();
        self.each(Self::of_file);
        if self.is_done() {
            return;
        }
        self.modules.retain(|module| module.is_hinted || !module.seen.is_empty());
        self.scan_cookies();
        if !self.is_done() {
            self.scan_back_pointers();
        }
    }

    fn is_done(&self) -> bool {
        self.found.iter().any(|found| found.is_running)
    }

    /// Looks at every module for runtimes whose version is not known yet.
    fn each(&mut self, look: impl Fn(&Self, &Module<'m>) -> Option<Vec<(u64, Way)>>) {
        let mut modules = std::mem::take(&mut self.modules);
        for module in &mut modules {
            for (address, way) in look(self, module).unwrap_or_default() {
                module.seen.push((address, way));
                let versions = version::candidates(self.reach, module, address);
                self.add(address, way, &versions);
            }
        }
        self.modules = modules;
    }

    /// The runtime by what only the file knows: its symbols, its sections.
    fn of_file(&self, module: &Module<'m>) -> Option<Vec<(u64, Way)>> {
        let bias = module.image.as_ref().filter(|_| module.is_large())?.bias();
        let file = self.reach.file(module.first)?;
        let sections = Sections::read(&file, module.first.offset)?;
        let section = sections.address(RUNTIME_SECTION);
        // Symbol tables are large: they are read where there is a hint.
        let is_worth = section.is_some() || module.is_hinted;
        let symbol = is_worth.then(|| sections.symbol(RUNTIME)).flatten();
        let found = symbol.map(|address| (address, Way::FileSymbol));
        let (address, way) = found.or(section.map(|address| (address, Way::Section)))?;
        Some(vec![(bias.wrapping_add(address), way)])
    }

    /// Adds a runtime, of the first version that it runs by.
    fn add(&mut self, address: u64, way: Way, versions: &[u32]) {
        if self.met.contains(&address) {
            return;
        }
        let state = |version: &u32| check::is_running(self.reach, address, *version);
        let running = versions.iter().find(|version| state(version) == Some(true)).copied();
        let running = running.or_else(|| self.fitting_version(address, versions));
        let Some(python_version) = running.or(versions.first().copied()) else { return };
        let is_running = running.is_some();
        self.met.insert(address);
        self.found.push(Found { runtime_address: address, python_version, way, is_running });
    }

    /// The version by whose layout a runtime runs, where what was told is wrong or nothing.
    fn fitting_version(&self, address: u64, told: &[u32]) -> Option<u32> {
        let is_unknown = |version: &u32| check::is_running(self.reach, address, *version).is_none();
        if told.iter().any(is_unknown) {
            // A version of its own, whose layout nobody knows: another one only seems to fit.
            return None;
        }
        let known = check::known_layouts().into_iter().map(|(version, _)| version);
        let runs = |version: &u32| check::is_running(self.reach, address, *version) == Some(true);
        let fitting: Vec<(u64, u32)> =
            known.filter(runs).map(|version| (address, version)).collect();
        check::best_reading(self.reach, &fitting).map(|(_, version)| version)
    }

    /// Notes in which modules something speaks of CPython; looks for unpacked ones.
    fn note_hints(&mut self) {
        let unpacked = modules::unpacked(self.reach, &self.modules);
        self.modules.extend(unpacked);
        let mut hints = Hints::new();
        for module in &mut self.modules {
            module.is_hinted = hints.is_given_by(self.reach, module);
        }
        // Code and constants may be missing from a dump; names of files are not.
        let is_any = self.modules.iter().any(|module| module.is_hinted);
        if !is_any && hints::is_python_process(self.reach) {
            self.modules.iter_mut().for_each(|module| module.is_hinted = module.is_large());
        }
    }

    fn scan_cookies(&mut self) {
        self.each_scan(|reach, module| {
            let found = scan::cookies(reach, module).into_iter();
            found.map(|(address, version)| (address, Way::Cookie, vec![version])).collect()
        });
    }

    /// A module holds one runtime, but other data may look like one by one of the layouts, and
    /// neighbouring versions like each other: what is told of the version decides, then what reads
    /// best.
    fn scan_back_pointers(&mut self) {
        let layouts = check::known_layouts();
        self.each_scan(|reach, module| {
            let mut fitting = scan::back_pointers(reach, module, &layouts);
            let Some((first, _)) = fitting.first() else { return Vec::new() };
            let told = version::candidates(reach, module, *first);
            let told_like = |version: u32| told.iter().find(|told| **told >> 16 == version >> 16);
            if fitting.iter().any(|(_, version)| told_like(*version).is_some()) {
                fitting.retain(|(_, version)| told_like(*version).is_some());
            }
            let best = check::best_reading(reach, &fitting);
            let found = |(address, version)| {
                let version = told_like(version).copied().unwrap_or(version);
                (address, Way::BackPointer, vec![version])
            };
            best.map(found).into_iter().collect()
        });
    }

    fn each_scan(&mut self, look: impl Fn(&Reach<'m>, &Module<'m>) -> Vec<(u64, Way, Vec<u32>)>) {
        let modules = std::mem::take(&mut self.modules);
        for module in &modules {
            for (address, way, versions) in look(self.reach, module) {
                self.add(address, way, &versions);
            }
            if self.is_done() {
                break;
            }
        }
        self.modules = modules;
    }
}
