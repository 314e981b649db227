//! The files of one module: which are tried, in which order, and what came of it.
//!
//! | order | place | condition |
//! |---|---|---|
//! | 1 | the sources that were given | matched by id |
//! | 2 | the file named in the dump | `local_modules`; the file has a GNU build id |
//! | 3 | `/usr/lib/debug/.build-id/xx/yyyy.debug` | `local_modules` |
//! | 4 | `.gnu_debuglink` beside the file, in `.debug/`, below `/usr/lib/debug` | `local_modules` |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::breakpad::BreakpadSymbols;
use crate::cache::Probes;
use crate::catalog::{Candidate, CandidateKind, Catalog, build_id_path};
use crate::elf::{DwarfFiles, ElfImage, ElfSymbols};
use crate::file::{Links, MappedFile, OpenError};
use crate::module::{ModuleId, hex, leaf};
use crate::status::{ModuleStatus, SymbolKind};

/// Where distributions install separate debug files.
const SYSTEM_DEBUG_ROOT: &str = "/usr/lib/debug";

/// What was found for one module.
#[derive(Default)]
pub(crate) struct Located {
    pub(crate) elf: Option<ElfSymbols>,
    pub(crate) breakpad: Option<(PathBuf, BreakpadSymbols)>,
    pub(crate) status: Option<ModuleStatus>,
}

/// Finds and opens the files of `module`.
///
/// Every path that the result depends on is noted in `probes`.
pub(crate) fn locate(
    catalog: &Catalog,
    may_open_local: bool,
    module: &ModuleId,
    probes: &Probes,
) -> Located {
    if module.debug_id.is_none() && module.build_id.is_none() {
        return Located { status: Some(ModuleStatus::NoId), ..Located::default() };
    }
    let found = Found::default();
    let mut search = Search { catalog, module, may_open_local, probes, found };
    for candidate in catalog.find(module, probes) {
        search.open_candidate(&candidate);
    }
    if may_open_local {
        search.open_local();
        search.open_system_debug();
    }
    if search.found.is_nothing() && search.found.failure.is_none() {
        search.note_namesake();
    }
    search.finish()
}

/// Opens one file, whatever its id, with the files that belong to it beside it.
pub(crate) fn open_file(path: &Path) -> Located {
    let catalog = Catalog::new(Vec::new());
    let mut module = ModuleId::default();
    let probes = Probes::none();
    if let Ok(Some(image)) = open_elf(path, Links::Follow, &probes) {
        module = ModuleId::with_build_id("", image.identity().unwrap_or_default());
    }
    let mut search = Search {
        catalog: &catalog,
        module: &module,
        may_open_local: true,
        probes: &probes,
        found: Found::default(),
    };
    match crate::catalog::kind_of(path) {
        Some(CandidateKind::Breakpad) => search.open_breakpad(path),
        _ => search.open_elf(path, Links::Follow),
    }
    search.finish()
}

#[derive(Default)]
struct Found {
    /// Has code, and with it `.eh_frame`.
    code: Option<Arc<ElfImage>>,
    /// Has DWARF or a symbol table.
    debug: Option<Arc<ElfImage>>,
    breakpad: Option<(PathBuf, BreakpadSymbols)>,
    failure: Option<ModuleStatus>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.code.is_none() && self.debug.is_none() && self.breakpad.is_none()
    }
}

struct Search<'a> {
    catalog: &'a Catalog,
    module: &'a ModuleId,
    may_open_local: bool,
    probes: &'a Probes,
    found: Found,
}

impl Search<'_> {
    fn open_candidate(&mut self, candidate: &Candidate) {
        match candidate.kind {
            CandidateKind::Elf => self.open_elf(&candidate.path, Links::Follow),
            CandidateKind::Breakpad => self.open_breakpad(&candidate.path),
        }
    }

    fn open_breakpad(&mut self, path: &Path) {
        if self.found.breakpad.is_some() {
            return;
        }
        let opened = self.probes.open(path, Links::Follow);
        let parsed = opened
            .map_err(|error| error.to_string())
            .and_then(|file| BreakpadSymbols::parse(&file).map_err(|error| error.to_string()));
        match parsed {
            Ok(symbols) => self.found.breakpad = Some((path.to_owned(), symbols)),
            Err(reason) => self.fail(ModuleStatus::Malformed { path: path.to_owned(), reason }),
        }
    }

    /// Takes a file as code, debug file or both, if its build id is the module's.
    fn open_elf(&mut self, path: &Path, links: Links) {
        let image = match open_elf(path, links, self.probes) {
            Ok(Some(image)) => image,
            Ok(None) => return,
            Err(reason) => {
                return self.fail(ModuleStatus::Malformed { path: path.to_owned(), reason });
            }
        };
        // A file of this machine must have a real build id: the hash is weak.
        let is_hash_enough = links == Links::Follow;
        let id = image.build_id().or_else(|| image.identity().filter(|_| is_hash_enough));
        if !self.module.is_build_id(id.unwrap_or_default()) {
            return self.fail(self.mismatch(path, image.build_id().map(hex)));
        }
        let image = Arc::new(image);
        if self.found.code.is_none() && image.cfi_sections().eh_frame.is_some() {
            self.found.code = Some(image.clone());
        }
        if !self.found.debug.as_ref().is_some_and(|debug| debug.has_dwarf()) {
            let is_better = image.has_dwarf() || self.found.debug.is_none();
            if is_better {
                self.found.debug = Some(image);
            }
        }
    }

    /// The file that the dump names.
    fn open_local(&mut self) {
        let path = Path::new(&self.module.code_file);
        if path.is_absolute() {
            self.open_elf(path, Links::Refuse);
        }
    }

    /// A separate debug file, when there is no DWARF yet.
    fn open_system_debug(&mut self) {
        if self.has_dwarf() {
            return;
        }
        if let Some(build_id) = &self.module.build_id {
            let path = build_id_path(Path::new(SYSTEM_DEBUG_ROOT), build_id, self.probes);
            if let Some(path) = path.filter(|path| self.is_file(path)) {
                self.open_elf(&path, Links::Follow);
            }
        }
        for path in self.debug_link_paths() {
            if self.has_dwarf() {
                return;
            }
            if self.is_file(&path) {
                self.open_elf(&path, Links::Follow);
            }
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        self.probes.note(path, Links::Follow);
        path.is_file()
    }

    fn debug_link_paths(&self) -> Vec<PathBuf> {
        let Some(code) = &self.found.code else { return Vec::new() };
        let Some(name) = code.debug_link().and_then(leaf) else { return Vec::new() };
        let Some(folder) = code.path().parent() else { return Vec::new() };
        let below_root = folder.strip_prefix("/").unwrap_or(folder);
        vec![
            folder.join(name),
            folder.join(".debug").join(name),
            Path::new(SYSTEM_DEBUG_ROOT).join(below_root).join(name),
        ]
        .into_iter()
        .filter(|path| path != code.path())
        .collect()
    }

    fn has_dwarf(&self) -> bool {
        self.found.debug.as_ref().is_some_and(|debug| debug.has_dwarf())
    }

    /// A file of the right name and another id explains more than "missing".
    fn note_namesake(&mut self) {
        if let Some(candidate) = self.catalog.find_namesake(self.module, self.probes) {
            self.fail(self.mismatch(&candidate.path, candidate.id));
        }
    }

    fn mismatch(&self, path: &Path, found: Option<String>) -> ModuleStatus {
        ModuleStatus::Mismatched {
            path: path.to_owned(),
            expected: self.module.display_id().unwrap_or_default(),
            found,
        }
    }

    /// Keeps the first failure: sources are tried in the order that the user gave.
    fn fail(&mut self, status: ModuleStatus) {
        self.found.failure.get_or_insert(status);
    }

    fn finish(mut self) -> Located {
        let files = self.load_dwarf();
        let Found { code, debug, breakpad, failure } = self.found;
        let loaded = loaded_status(&code, &debug, &breakpad, files.is_some());
        let status = match (loaded, failure) {
            (Some(ModuleStatus::Malformed { .. }) | None, Some(failure)) => failure,
            (Some(loaded), _) => loaded,
            (None, None) => ModuleStatus::Missing,
        };
        let elf = (code.is_some() || debug.is_some())
            .then(|| ElfSymbols::new(code, debug.clone(), files));
        Located { elf, breakpad, status: Some(status) }
    }

    fn load_dwarf(&mut self) -> Option<DwarfFiles> {
        let image = self.found.debug.clone().filter(|image| image.has_dwarf())?;
        let supplementary = self.open_supplementary(&image);
        let package = self.open_package(&image);
        let package = package.or_else(|| self.open_package(self.found.code.as_ref()?));
        let split = self.may_open_local.then_some(self.probes);
        match DwarfFiles::load(&image, supplementary.as_ref(), package.as_ref(), split) {
            Ok(files) => Some(files),
            Err(error) => {
                let path = image.path().to_owned();
                self.fail(ModuleStatus::Malformed { path, reason: error.to_string() });
                None
            }
        }
    }

    /// dwz's shared file: by build id in the sources, below `/usr/lib/debug` or at its path.
    fn open_supplementary(&self, image: &ElfImage) -> Option<ElfImage> {
        let (name, build_id) = image.alt_link()?;
        let beside = image.path().parent().map(|folder| folder.join(name));
        let system = build_id_path(Path::new(SYSTEM_DEBUG_ROOT), build_id, self.probes);
        let local = [beside, system].into_iter().flatten().filter(|_| self.may_open_local);
        let paths = self.catalog.find_build_id(build_id, self.probes).into_iter().chain(local);
        let mut images =
            paths.filter_map(|path| open_elf(&path, Links::Follow, self.probes).ok()?);
        images.find(|image| image.build_id() == Some(build_id))
    }

    /// The package of split DWARF beside a file: its name and `.dwp`.
    fn open_package(&self, image: &ElfImage) -> Option<Arc<MappedFile>> {
        let mut path = image.path().as_os_str().to_owned();
        path.push(".dwp");
        let path = Path::new(&path);
        self.probes.open(path, Links::Follow).ok()
    }
}

/// `Ok(None)` when there is no such file, or none that may be opened.
fn open_elf(path: &Path, links: Links, probes: &Probes) -> Result<Option<ElfImage>, String> {
    let file = match probes.open(path, links) {
        Ok(file) => file,
        Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    ElfImage::parse(file).map(Some).map_err(|error| error.to_string())
}

fn loaded_status(
    code: &Option<Arc<ElfImage>>,
    debug: &Option<Arc<ElfImage>>,
    breakpad: &Option<(PathBuf, BreakpadSymbols)>,
    has_dwarf: bool,
) -> Option<ModuleStatus> {
    let loaded = |path: &Path, kind| Some(ModuleStatus::Loaded { path: path.to_owned(), kind });
    let images = || [debug, code].into_iter().flatten();
    if let Some(image) = debug.as_ref().filter(|_| has_dwarf) {
        return loaded(image.path(), SymbolKind::Dwarf);
    }
    if let Some((path, _)) = breakpad.as_ref().filter(|(_, symbols)| symbols.has_functions()) {
        return loaded(path, SymbolKind::Breakpad);
    }
    if let Some(image) = images().find(|image| image.has_symbol_table()) {
        return loaded(image.path(), SymbolKind::SymbolTable);
    }
    let with_cfi = images().find(|image| image.has_cfi()).map(|image| image.path());
    if let Some(path) = with_cfi.or(breakpad.as_ref().map(|(path, _)| path.as_path())) {
        return loaded(path, SymbolKind::CfiOnly);
    }
    let path = images().next()?.path().to_owned();
    let reason = "holds neither symbols nor call frame information".to_owned();
    Some(ModuleStatus::Malformed { path, reason })
}
