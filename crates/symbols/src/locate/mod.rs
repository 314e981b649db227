//! The files of one module: which are tried, in which order, and what came of it.
//!
//! | order | place | condition |
//! |---|---|---|
//! | 1 | the sources that were given | matched by id |
//! | 2 | the file named in the dump | `local_modules`; the file has an id, not only a hash |
//! | 3 | ELF: `/usr/lib/debug/.build-id/xx/yyyy.debug` | `local_modules` |
//! | 4 | ELF: `.gnu_debuglink` beside the file, in `.debug/`, below `/usr/lib/debug` | `local_modules` |
//! | 5 | PE: the PDB beside the image; Mach-O: the dSYM beside the image | `local_modules` |
//!
//! What belongs to one format is in `elf`, `pe` and `macho`.

mod elf;
mod macho;
mod pe;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::status::loaded_status;
use crate::breakpad::BreakpadSymbols;
use crate::catalog::{Candidate, CandidateKind, Catalog, kind_of};
use crate::dwarf::DwarfFiles;
use crate::elf::{ElfImage, ElfSymbols};
use crate::file::{Links, MappedFile, OpenError};
use crate::image::Image;
use crate::macho::{MachImage, MachSymbols};
use crate::module::{ModuleId, debug_id_of_uuid};
use crate::pe::{Pdb, PeImage, PeSymbols, is_cabinet, unpack};
use crate::status::ModuleStatus;

/// What was found for one module.
#[derive(Default)]
pub(crate) struct Located {
    pub(crate) elf: Option<ElfSymbols>,
    pub(crate) pe: Option<PeSymbols>,
    pub(crate) macho: Option<MachSymbols>,
    pub(crate) breakpad: Option<(PathBuf, BreakpadSymbols)>,
    pub(crate) status: Option<ModuleStatus>,
}

/// Finds and opens the files of `module`.
pub(crate) fn locate(catalog: &Catalog, may_open_local: bool, module: &ModuleId) -> Located {
    if !module.has_id() {
        return Located { status: Some(ModuleStatus::NoId), ..Located::default() };
    }
    let mut search = Search { catalog, module, may_open_local, found: Found::default() };
    for candidate in catalog.find(module) {
        search.open_candidate(&candidate);
    }
    if may_open_local {
        search.open_local();
        search.open_system_debug();
        search.open_pdb_beside();
        search.open_bundle_beside();
    }
    if search.found.is_nothing() && search.found.failure.is_none() {
        search.note_namesake();
    }
    search.finish()
}

/// Opens one file, whatever its id, with the files that belong to it beside it.
pub(crate) fn open_file(path: &Path) -> Located {
    let catalog = Catalog::new(Vec::new());
    let file = match open_any(path, Links::Follow) {
        Ok(Some(file)) => file,
        Ok(None) => return Located::default(),
        Err(reason) => return malformed(path, reason),
    };
    let module = match own_id(&file) {
        Ok(module) => module,
        Err(reason) => return malformed(path, reason),
    };
    let mut search = Search {
        catalog: &catalog,
        module: &module,
        may_open_local: true,
        found: Found::default(),
    };
    search.open_kind(path, kind_of(&file).unwrap_or(CandidateKind::Elf), Links::Follow);
    search.open_pdb_beside();
    search.open_bundle_beside();
    search.finish()
}

fn malformed(path: &Path, reason: String) -> Located {
    let status = ModuleStatus::Malformed { path: path.to_owned(), reason };
    Located { status: Some(status), ..Located::default() }
}

/// A module that the file is of.
fn own_id(file: &Arc<MappedFile>) -> Result<ModuleId, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    match kind_of(file) {
        Some(CandidateKind::Breakpad) => Ok(ModuleId::default()),
        Some(CandidateKind::Pdb) => {
            let debug_id = crate::pe::read_debug_id(file).map_err(|error| text(&error))?;
            Ok(ModuleId { debug_id, ..ModuleId::default() })
        }
        Some(CandidateKind::Pe) => {
            let image = PeImage::parse(file.clone()).map_err(|error| text(&error))?;
            let (debug_id, image_stamp) = (image.debug_id(), Some(image.stamp()));
            Ok(ModuleId { debug_id, image_stamp, ..ModuleId::default() })
        }
        Some(CandidateKind::MachO) => {
            let images = MachImage::parse_all(file).map_err(|error| text(&error))?;
            let uuid = images.first().and_then(|image| image.uuid());
            let debug_id = uuid.and_then(|uuid| debug_id_of_uuid(&uuid));
            Ok(ModuleId { debug_id, ..ModuleId::default() })
        }
        Some(CandidateKind::Elf) | None => {
            let image = ElfImage::parse(file.clone()).map_err(|error| text(&error))?;
            Ok(ModuleId::with_build_id("", image.identity().unwrap_or_default()))
        }
    }
}

#[derive(Default)]
struct Found {
    /// Has code, and with it `.eh_frame`.
    code: Option<Arc<ElfImage>>,
    /// Has DWARF or a symbol table.
    debug: Option<Arc<ElfImage>>,
    pe: Option<Arc<PeImage>>,
    pdb: Option<Pdb>,
    mach_code: Option<Arc<MachImage>>,
    mach_debug: Option<Arc<MachImage>>,
    breakpad: Option<(PathBuf, BreakpadSymbols)>,
    failure: Option<ModuleStatus>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.images().next().is_none() && self.pdb.is_none() && self.breakpad.is_none()
    }

    /// Of whatever format, best first.
    fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        let elf = [&self.debug, &self.code].into_iter().flatten().map(|image| image.image());
        let macho = [&self.mach_debug, &self.mach_code].into_iter().flatten();
        elf.chain(macho.map(|image| image.image())).chain(self.pe.iter().map(|image| image.image()))
    }
}

struct Search<'a> {
    catalog: &'a Catalog,
    module: &'a ModuleId,
    may_open_local: bool,
    found: Found,
}

impl Search<'_> {
    fn open_candidate(&mut self, candidate: &Candidate) {
        self.open_kind(&candidate.path, candidate.kind, Links::Follow);
    }

    fn open_kind(&mut self, path: &Path, kind: CandidateKind, links: Links) {
        match kind {
            CandidateKind::Elf => self.open_elf(path, links),
            CandidateKind::Breakpad => self.open_breakpad(path),
            CandidateKind::Pdb => self.open_pdb(path, links),
            CandidateKind::Pe => self.open_pe(path, links),
            CandidateKind::MachO => self.open_mach(path, links),
        }
    }

    fn open_breakpad(&mut self, path: &Path) {
        if self.found.breakpad.is_some() {
            return;
        }
        let Some(file) = self.open_bytes(path, Links::Follow) else { return };
        match BreakpadSymbols::parse(&file) {
            Ok(symbols) => self.found.breakpad = Some((path.to_owned(), symbols)),
            Err(error) => self.malformed(path, error),
        }
    }

    /// The file that the dump names.
    fn open_local(&mut self) {
        let path = Path::new(&self.module.code_file);
        if !path.is_absolute() {
            return;
        }
        let Some(file) = self.open_bytes(path, Links::Refuse) else { return };
        let kind = kind_of(&file).unwrap_or(CandidateKind::Elf);
        self.open_kind(path, kind, Links::Refuse);
    }

    /// The bytes of a file. `None` when there is none, or it is noted as a failure.
    fn open_bytes(&mut self, path: &Path, links: Links) -> Option<Arc<MappedFile>> {
        match open_any(path, links) {
            Ok(file) => file,
            Err(reason) => {
                self.malformed(path, reason);
                None
            }
        }
    }

    /// A file of the right name and another id explains more than "missing".
    fn note_namesake(&mut self) {
        if let Some(candidate) = self.catalog.find_namesake(self.module) {
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

    fn malformed(&mut self, path: &Path, reason: impl ToString) {
        self.fail(ModuleStatus::Malformed { path: path.to_owned(), reason: reason.to_string() });
    }

    /// Keeps the first failure: sources are tried in the order that the user gave.
    fn fail(&mut self, status: ModuleStatus) {
        self.found.failure.get_or_insert(status);
    }

    fn finish(mut self) -> Located {
        let elf_files = self.load_elf_dwarf();
        let pe_files = self.load_dwarf(self.found.pe.as_ref().map(|image| image.image().clone()));
        let mach_debug = self.found.mach_debug.as_ref();
        let mach_files = self.load_dwarf(mach_debug.map(|image| image.image().clone()));
        let dwarf = [&elf_files, &pe_files, &mach_files].into_iter().flatten().next();
        let loaded = loaded_status(&self.found, dwarf.map(DwarfFiles::path));
        let status = match (loaded, self.found.failure) {
            (Some(ModuleStatus::Malformed { .. }) | None, Some(failure)) => failure,
            (Some(loaded), _) => loaded,
            (None, None) => ModuleStatus::Missing,
        };
        let Found { code, debug, pe, pdb, mach_code, mach_debug, breakpad, .. } = self.found;
        Located {
            elf: (code.is_some() || debug.is_some())
                .then(|| ElfSymbols::new(code, debug, elf_files)),
            pe: (pe.is_some() || pdb.is_some()).then(|| PeSymbols::new(pe, pdb, pe_files)),
            macho: (mach_code.is_some() || mach_debug.is_some())
                .then(|| MachSymbols::new(mach_code, mach_debug, mach_files)),
            breakpad,
            status: Some(status),
        }
    }

    /// The DWARF of an image that has all of it in itself.
    fn load_dwarf(&mut self, image: Option<Arc<Image>>) -> Option<DwarfFiles> {
        let image = image.filter(|image| image.has_dwarf())?;
        match DwarfFiles::load(&image, None, None, false) {
            Ok(files) => Some(files),
            Err(error) => {
                self.malformed(image.path(), error);
                None
            }
        }
    }
}

/// `Ok(None)` when there is no such file.
fn open_any(path: &Path, links: Links) -> Result<Option<Arc<MappedFile>>, String> {
    let file = match MappedFile::open(path, links) {
        Ok(file) => file,
        Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    if !is_cabinet(&file) {
        return Ok(Some(file));
    }
    unpack(&file).map(Some).map_err(|error| error.to_string())
}
