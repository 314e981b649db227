//! The symbols of one module: answers that are known, and files for all others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::boundaries::Boundaries;
use crate::breakpad::BreakpadSymbols;
use crate::cache::{Answer, Answers, Cache, Facts, Key, Probe, Probes, Question, View};
use crate::catalog::Catalog;
use crate::elf::ElfSymbols;
use crate::image::Image;
use crate::locate::{Located, locate, open_file};
use crate::macho::MachSymbols;
use crate::module::ModuleId;
use crate::pe::PeSymbols;
use crate::stack_records::{self, StackRecords};
use crate::status::{ModuleStatus, SymbolKind};
use crate::symbols::Symbolication;

/// No address of a module is larger; what is asked about such is not remembered.
const MAX_RVA: u64 = u64::MAX / 2;
/// Records of so many addresses are held in memory.
const MAX_PARSED_RECORDS: usize = 4 << 10;

/// The symbols of one module, as far as they were found.
///
/// With answers of an earlier run, its files are opened when something is asked that is not among
/// them.
pub struct ModuleSymbols {
    search: Option<Search>,
    files: OnceLock<Files>,
    answers: Answers,
    /// Somebody asked for the module; otherwise it was only prepared.
    is_requested: AtomicBool,
    /// Records of a `.sym` file that came from the cache.
    parsed_records: Mutex<HashMap<String, Option<Arc<BreakpadSymbols>>>>,
}

/// How the files of a module are found.
struct Search {
    catalog: Arc<Catalog>,
    may_open_local: bool,
    module: ModuleId,
    /// `None` when nothing is kept of the module.
    key: Option<Key>,
}

/// The files of a module, opened.
struct Files {
    elf: Option<ElfSymbols>,
    pe: Option<PeSymbols>,
    macho: Option<MachSymbols>,
    breakpad: Option<(PathBuf, Arc<BreakpadSymbols>)>,
    status: ModuleStatus,
    /// What the search looked at; `None` when that does not tell whether it would find the same.
    probes: Option<Vec<Probe>>,
    has_asked_index: bool,
}

impl Files {
    fn new(located: Located, probes: Probes) -> Self {
        Self {
            elf: located.elf,
            pe: located.pe,
            macho: located.macho,
            breakpad: located.breakpad.map(|(path, symbols)| (path, Arc::new(symbols))),
            status: located.status.unwrap_or(ModuleStatus::Missing),
            has_asked_index: probes.has_asked_index(),
            probes: probes.finish(),
        }
    }

    fn find(&self, rva: u64) -> Symbolication {
        let from_files = self.find_in_images(rva).unwrap_or_default();
        if from_files.frames.iter().any(|frame| frame.line.is_some()) {
            return from_files;
        }
        let from_sym = self.breakpad.as_ref().map(|(_, sym)| sym.lookup(rva)).unwrap_or_default();
        if from_sym.frames.is_empty() { from_files } else { from_sym }
    }

    /// A module has files of one format only.
    fn find_in_images(&self, rva: u64) -> Option<Symbolication> {
        let elf = self.elf.as_ref().map(|elf| elf.lookup(rva));
        let pe = || self.pe.as_ref().map(|pe| pe.lookup(rva));
        elf.or_else(pe).or_else(|| self.macho.as_ref().map(|macho| macho.lookup(rva)))
    }

    fn boundaries(&self) -> Boundaries {
        let elf = self.elf.as_ref().map(ElfSymbols::boundaries);
        let pe = || self.pe.as_ref().map(PeSymbols::boundaries);
        let macho = || self.macho.as_ref().map(MachSymbols::boundaries);
        elf.or_else(pe).or_else(macho).unwrap_or_default()
    }

    /// Reads what every lookup needs.
    fn prepare(&self) {
        if let Some(elf) = &self.elf {
            elf.prepare();
        }
        if let Some(pe) = &self.pe {
            pe.prepare();
        }
        if let Some(macho) = &self.macho {
            macho.prepare();
        }
    }

    fn is_nothing(&self) -> bool {
        let has_images = self.elf.is_some() || self.pe.is_some() || self.macho.is_some();
        !has_images && self.breakpad.is_none()
    }

    /// Whether a lookup has told if the DWARF can be read.
    fn is_judged(&self) -> bool {
        let elf = self.elf.as_ref().is_some_and(ElfSymbols::is_judged);
        let pe = || self.pe.as_ref().is_some_and(PeSymbols::is_judged);
        elf || pe() || self.macho.as_ref().is_some_and(MachSymbols::is_judged)
    }

    fn dwarf_error(&self) -> Option<&(PathBuf, String)> {
        let elf = self.elf.as_ref().and_then(ElfSymbols::dwarf_error);
        let pe = || self.pe.as_ref().and_then(PeSymbols::dwarf_error);
        elf.or_else(pe).or_else(|| self.macho.as_ref().and_then(MachSymbols::dwarf_error))
    }

    /// The images, of whatever format: those with code first, each once.
    fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        let elf = self.elf.as_ref().map(|elf| [elf.code(), elf.debug()]);
        let macho = self.macho.as_ref().map(|macho| [macho.code(), macho.debug()]);
        let elf = elf.into_iter().flatten().flatten().map(|image| image.image());
        let macho = macho.into_iter().flatten().flatten().map(|image| image.image());
        let pe = self.pe.as_ref().and_then(|pe| pe.image()).map(|image| image.image());
        let mut last: Option<&Arc<Image>> = None;
        elf.chain(macho).chain(pe).filter(move |image| {
            // Most files are both code and debug file.
            let is_new = last.is_none_or(|last| !Arc::ptr_eq(last, image));
            last = Some(image);
            is_new
        })
    }

    /// `has_looked_up`: whether the DWARF counts already.
    fn status(&self, has_looked_up: bool) -> ModuleStatus {
        let broken = self.dwarf_error().filter(|_| has_looked_up);
        match (broken, &self.breakpad) {
            (Some(_), Some((path, symbols))) if symbols.has_functions() => {
                ModuleStatus::Loaded { path: path.clone(), kind: SymbolKind::Breakpad }
            }
            (Some((path, reason)), _) => {
                ModuleStatus::Malformed { path: path.clone(), reason: reason.clone() }
            }
            (None, _) => self.status.clone(),
        }
    }
}

impl ModuleSymbols {
    fn new(search: Option<Search>, files: OnceLock<Files>, answers: Answers) -> Self {
        let is_requested = AtomicBool::new(false);
        Self { search, files, answers, is_requested, parsed_records: Mutex::default() }
    }

    /// Opens one file without asking for its id, and what belongs to it beside it (split DWARF,
    /// supplementary file, PDB, dSYM). Of a fat Mach-O file the first part is taken. What cannot be
    /// read is told by [`ModuleSymbols::status`].
    pub fn open(path: &Path) -> Self {
        let files = Files::new(open_file(path), Probes::none());
        Self::new(None, OnceLock::from(files), Answers::default())
    }

    /// Finds the files of a module, unless the cache has answers of the same files.
    pub(crate) fn find_module(
        catalog: &Arc<Catalog>,
        may_open_local: bool,
        module: &ModuleId,
        cache: Option<&Cache>,
    ) -> Self {
        let key = cache.and_then(|_| Key::new(module, catalog.sources(), may_open_local));
        let stored = cache.zip(key.as_ref()).and_then(|(cache, key)| cache.load(key, catalog));
        let has_answers = stored.is_some();
        let search =
            Search { catalog: catalog.clone(), may_open_local, module: module.clone(), key };
        let found = Self::new(Some(search), OnceLock::new(), Answers::new(stored));
        if !has_answers {
            found.files();
        }
        found
    }

    pub(crate) fn request(&self) {
        self.is_requested.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Relaxed)
    }

    /// Whether what was found, now or in an earlier run, depends on the index of the sources.
    pub(crate) fn depends_on_index(&self) -> bool {
        let stored = || self.answers.stored().and_then(View::index_fingerprint).is_some();
        self.files.get().map_or_else(stored, |files| files.has_asked_index)
    }

    /// Reads what every lookup needs, unless answers of an earlier run are at hand.
    pub(crate) fn prepare(&self) {
        if let Some(files) = self.files.get() {
            files.prepare();
        }
    }

    fn files(&self) -> &Files {
        self.files.get_or_init(|| {
            let Some(search) = &self.search else {
                return Files::new(Located::default(), Probes::none());
            };
            let probes = if search.key.is_some() { Probes::recording() } else { Probes::none() };
            let located = locate(&search.catalog, search.may_open_local, &search.module, &probes);
            Files::new(located, probes)
        })
    }

    /// Whether its files were searched for and opened in this run.
    pub fn has_opened_files(&self) -> bool {
        self.files.get().is_some()
    }

    /// The module's ELF file and debug file; opens them.
    pub fn elf(&self) -> Option<&ElfSymbols> {
        self.files().elf.as_ref()
    }

    /// The module's PE image and PDB; opens them.
    pub fn pe(&self) -> Option<&PeSymbols> {
        self.files().pe.as_ref()
    }

    /// The module's Mach-O image and dSYM; opens them.
    pub fn macho(&self) -> Option<&MachSymbols> {
        self.files().macho.as_ref()
    }

    /// The images that were found, of whatever format: those with code first. Opens them.
    pub fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        self.files().images()
    }

    /// The address that the images say they are to be mapped at; 0 when there is none (a PDB, a
    /// `.sym` file). The addresses of this crate are relative to it. Opens files.
    pub fn image_base(&self) -> u64 {
        self.images().next().map_or(0, |image| image.image_base())
    }

    /// The module's `.sym` file; opens it.
    pub fn breakpad(&self) -> Option<&BreakpadSymbols> {
        self.files().breakpad.as_ref().map(|(_, symbols)| &**symbols)
    }

    /// Where the symbols came from, or why there are none. DWARF is judged at the first
    /// lookup, so ask after the walk.
    pub fn status(&self) -> ModuleStatus {
        let stored = self.answers.stored();
        let has_looked_up = self.answers.has_looked_up();
        if has_looked_up && let Some(judged) = stored.and_then(|view| view.judged_status()) {
            return judged;
        }
        if self.files.get().is_none()
            && let Some(status) = stored.and_then(|view| view.status())
        {
            return status;
        }
        self.files().status(has_looked_up)
    }

    /// Whether every function is named: then an address without a name is not code. Opens files.
    pub fn has_full_symbols(&self) -> bool {
        self.breakpad().is_some_and(BreakpadSymbols::has_functions)
            || self.elf().is_some_and(ElfSymbols::has_full_symbols)
    }

    /// Symbolicates the address `rva` bytes above the module's base. DWARF and PDB come
    /// first, then `.sym`, then symbol tables.
    pub fn lookup(&self, rva: u64) -> Arc<Symbolication> {
        if rva > MAX_RVA {
            return Arc::new(self.files().find(rva));
        }
        if let Some(found) = self.answers.symbolication(rva) {
            return found;
        }
        let found = Arc::new(self.files().find(rva));
        self.answers.keep_symbolication(rva, found.clone());
        found
    }

    /// Every address at which lookups change; see [`Boundaries`]. Opens files.
    pub(crate) fn boundaries(&self) -> Boundaries {
        self.files().boundaries()
    }

    /// [`ModuleSymbols::lookup`] without remembering; always out of the files.
    pub(crate) fn find(&self, rva: u64) -> Symbolication {
        self.files().find(rva)
    }

    /// The answer to a question at an address: of this or an earlier run, else what `find` says, which
    /// may ask for [`ModuleSymbols::images`]. It must depend on the files, the address and nothing
    /// else.
    pub fn ask<A: Answer>(&self, question: Question, rva: u64, find: impl FnOnce() -> A) -> A {
        if rva > MAX_RVA { find() } else { self.answers.ask(question, rva, find) }
    }

    /// The `.sym` file's records for unwinding at an address; `None` when there are none. After an
    /// earlier run, a file of these records only.
    pub fn stack_records(&self, rva: u64) -> Option<Arc<BreakpadSymbols>> {
        let whole = || self.files().breakpad.as_ref().map(|(_, symbols)| symbols.clone());
        let records = self.ask(Question::StackRecords, rva, || {
            whole().map_or(StackRecords::None, |symbols| StackRecords::of(&symbols, rva))
        });
        match records {
            StackRecords::None => None,
            StackRecords::Text(text) if self.files.get().is_none() => {
                self.read_records(text).or_else(whole)
            }
            StackRecords::Text(_) | StackRecords::Unwritable => whole(),
        }
    }

    /// The PDB's record of the frame at an address, as a file of this record only; 32-bit x86.
    pub fn frame_data(&self, rva: u64) -> Option<Arc<BreakpadSymbols>> {
        let find = || {
            let record = self.pe().and_then(|pe| pe.frame_record(rva));
            let text = record.and_then(|record| record.to_stack_win());
            text.map_or(StackRecords::None, |text| StackRecords::Text(text + "\n"))
        };
        match self.ask(Question::FrameData, rva, find) {
            StackRecords::Text(text) => self.read_records(text),
            StackRecords::None | StackRecords::Unwritable => None,
        }
    }

    fn read_records(&self, text: String) -> Option<Arc<BreakpadSymbols>> {
        let mut parsed = self.parsed_records.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.len() >= MAX_PARSED_RECORDS {
            parsed.clear();
        }
        parsed
            .entry(text)
            .or_insert_with_key(|text| stack_records::read(text).map(Arc::new))
            .clone()
    }

    /// Writes what was learnt; whether there was something to write.
    pub(crate) fn keep(&self, cache: &Cache) -> bool {
        let search = self.search.as_ref().filter(|_| self.answers.has_news());
        let Some((search, files)) = search.zip(self.files.get()) else { return false };
        let (Some(key), Some(probes)) = (&search.key, &files.probes) else { return false };
        if files.is_nothing() && !files.has_asked_index {
            // A search of a few paths is as quick as reading that it found nothing.
            return false;
        }
        let index = if files.has_asked_index {
            let Some(fingerprint) = search.catalog.fingerprint() else { return false };
            Some((fingerprint, search.catalog.index_problems()))
        } else {
            None
        };
        let judged_status = self.judged_status(files);
        let (status, judged_status) = (&files.status, judged_status.as_ref());
        let facts = Facts { key: &key.bytes, probes, index, status, judged_status };
        if self.answers.stored().is_some_and(|view| !facts.is_told_by(view)) {
            // The files were changed between two answers.
            cache.forget(key);
            return false;
        }
        cache.keep(key, facts, &self.answers);
        true
    }

    fn judged_status(&self, files: &Files) -> Option<ModuleStatus> {
        let own = (files.is_judged() && self.answers.has_looked_up()).then(|| files.status(true));
        own.or_else(|| self.answers.stored()?.judged_status())
    }
}
