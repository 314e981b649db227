//! The door: modules in, functions, files and lines out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::breakpad::BreakpadSymbols;
use crate::catalog::Catalog;
use crate::elf::ElfSymbols;
use crate::image::Image;
use crate::locate::{Located, locate, open_file};
use crate::macho::MachSymbols;
use crate::module::ModuleId;
use crate::pe::PeSymbols;
use crate::status::{ModuleStatus, SourceProblem, SymbolKind};

/// Lookups remembered per module; the interpreter's loop is looked up thousands of times.
const MAX_REMEMBERED: usize = 16 << 10;

/// Where symbols may come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Breakpad trees (`name/ID/name.sym`), `.build-id` trees, symbol stores
    /// (`name.pdb/GUIDAGE/name.pdb`), dSYM bundles, plain folders and plain files (`.sym`, ELF,
    /// `.debug`, PDB, PE, Mach-O). Matched by id, never by name alone.
    pub symbols: Vec<PathBuf>,
    /// Whether files of this machine may be opened at the paths that the dump names, and debug
    /// files that belong to them. Only regular files whose build id equals the dump's are used.
    pub local_modules: bool,
}

/// One source-level frame at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFrame {
    /// Demangled name; `None` when only file and line are known.
    pub function: Option<String>,
    /// Source path as the compiler wrote it, made absolute where the debug information allows.
    pub file: Option<String>,
    /// 1-based; `None` when unknown.
    pub line: Option<u32>,
    /// Whether the function was inlined into the next frame of the list.
    pub is_inline: bool,
}

/// All that is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbolication {
    /// Innermost first: inline frames, then the function that really has a stack frame. Empty
    /// when nothing is known.
    pub frames: Vec<SourceFrame>,
    /// Start of the function, in bytes above the module's base.
    pub function_rva: Option<u64>,
    /// Bytes of parameters on the stack, after `.sym` records of 32-bit x86; 0 when unknown.
    pub parameter_bytes: u32,
}

impl Symbolication {
    /// Name of the function that has a stack frame.
    pub fn function(&self) -> Option<&str> {
        self.frames.last()?.function.as_deref()
    }
}

/// The symbols of one module, as far as they were found.
pub struct ModuleSymbols {
    elf: Option<ElfSymbols>,
    pe: Option<PeSymbols>,
    macho: Option<MachSymbols>,
    breakpad: Option<(PathBuf, BreakpadSymbols)>,
    status: ModuleStatus,
    remembered: Mutex<HashMap<u64, Arc<Symbolication>>>,
}

impl ModuleSymbols {
    fn new(located: Located) -> Self {
        Self {
            elf: located.elf,
            pe: located.pe,
            macho: located.macho,
            breakpad: located.breakpad,
            status: located.status.unwrap_or(ModuleStatus::Missing),
            remembered: Mutex::default(),
        }
    }

    /// Opens one file without asking for its id, and what belongs to it beside it (split DWARF,
    /// supplementary file, PDB, dSYM). Of a fat Mach-O file the first part is taken. What cannot be read is told by
    /// [`ModuleSymbols::status`].
    pub fn open(path: &Path) -> Self {
        Self::new(open_file(path))
    }

    /// The module's ELF file and debug file.
    pub fn elf(&self) -> Option<&ElfSymbols> {
        self.elf.as_ref()
    }

    /// The module's PE image and PDB.
    pub fn pe(&self) -> Option<&PeSymbols> {
        self.pe.as_ref()
    }

    /// The module's Mach-O image and dSYM.
    pub fn macho(&self) -> Option<&MachSymbols> {
        self.macho.as_ref()
    }

    /// The images that were found, of whatever format: those with code first.
    pub fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        let elf = self.elf.as_ref().map(|elf| [elf.code(), elf.debug()]);
        let macho = self.macho.as_ref().map(|macho| [macho.code(), macho.debug()]);
        let elf = elf.into_iter().flatten().flatten().map(|image| image.image());
        let macho = macho.into_iter().flatten().flatten().map(|image| image.image());
        let pe = self.pe.as_ref().and_then(|pe| pe.image()).map(|image| image.image());
        elf.chain(macho).chain(pe)
    }

    /// The address that the images say they are to be mapped at; 0 when there is none (a PDB, a
    /// `.sym` file). The addresses of this crate are relative to it.
    pub fn image_base(&self) -> u64 {
        self.images().next().map_or(0, |image| image.image_base())
    }

    /// The module's `.sym` file.
    pub fn breakpad(&self) -> Option<&BreakpadSymbols> {
        self.breakpad.as_ref().map(|(_, symbols)| symbols)
    }

    /// Where the symbols came from, or why there are none. DWARF is judged at the first
    /// lookup, so ask after the walk.
    pub fn status(&self) -> ModuleStatus {
        let broken = self.dwarf_error();
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

    fn dwarf_error(&self) -> Option<&(PathBuf, String)> {
        let pe = self.pe.as_ref().filter(|pe| pe.pdb_path().is_none());
        let elf = self.elf.as_ref().and_then(ElfSymbols::dwarf_error);
        let macho = || self.macho.as_ref().and_then(MachSymbols::dwarf_error);
        elf.or_else(macho).or_else(|| pe.and_then(PeSymbols::dwarf_error))
    }

    /// Whether every function is named: then an address without a name is not code.
    pub fn has_full_symbols(&self) -> bool {
        self.breakpad().is_some_and(BreakpadSymbols::has_functions)
            || self.elf.as_ref().is_some_and(ElfSymbols::has_full_symbols)
    }

    /// Symbolicates the address `rva` bytes above the module's base. DWARF and PDB come first,
    /// then `.sym`, then symbol tables.
    pub fn lookup(&self, rva: u64) -> Arc<Symbolication> {
        let lock = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&rva) {
            return found.clone();
        }
        let found = Arc::new(self.find(rva));
        let mut remembered = lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(rva, found.clone());
        found
    }

    fn find(&self, rva: u64) -> Symbolication {
        let from_files = self.find_in_files(rva).unwrap_or_default();
        if from_files.frames.iter().any(|frame| frame.line.is_some()) {
            return from_files;
        }
        let from_sym = self.breakpad().map(|sym| sym.lookup(rva)).unwrap_or_default();
        if from_sym.frames.is_empty() { from_files } else { from_sym }
    }

    /// A module has files of one format only.
    fn find_in_files(&self, rva: u64) -> Option<Symbolication> {
        let elf = self.elf.as_ref().map(|elf| elf.lookup(rva));
        let pe = || self.pe.as_ref().map(|pe| pe.lookup(rva));
        elf.or_else(pe).or_else(|| self.macho.as_ref().map(|macho| macho.lookup(rva)))
    }
}

/// Symbols of all modules of a dump. Files are opened when an address in them is first asked
/// for; may be shared between threads.
pub struct Symbols {
    catalog: Catalog,
    may_open_local: bool,
    modules: Mutex<HashMap<ModuleId, Arc<OnceLock<Arc<ModuleSymbols>>>>>,
}

impl Symbols {
    /// Opens nothing yet. Sources that do not exist are listed by [`Symbols::problems`].
    pub fn new(sources: Sources) -> Self {
        Self {
            catalog: Catalog::new(sources.symbols),
            may_open_local: sources.local_modules,
            modules: Mutex::default(),
        }
    }

    /// The symbols of a module; found and opened by the first call.
    pub fn module(&self, id: &ModuleId) -> Arc<ModuleSymbols> {
        let slot = {
            let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
            modules.entry(id.clone()).or_default().clone()
        };
        let load = || Arc::new(ModuleSymbols::new(locate(&self.catalog, self.may_open_local, id)));
        slot.get_or_init(load).clone()
    }

    /// Symbolicates the address `rva` bytes above the module's base: innermost frame first,
    /// inline frames included, empty when nothing is known.
    ///
    /// Give `rva` as it is for an instruction that was running, one less for a return address.
    pub fn lookup(&self, id: &ModuleId, rva: u64) -> Vec<SourceFrame> {
        self.module(id).lookup(rva).frames.clone()
    }

    /// What became of the search for a module's symbols. Opens nothing.
    pub fn module_status(&self, id: &ModuleId) -> ModuleStatus {
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = modules.get(id).and_then(|slot| slot.get());
        loaded.map_or(ModuleStatus::NotRequested, |module| module.status())
    }

    /// Sources that could not be used, or not wholly.
    pub fn problems(&self) -> Vec<SourceProblem> {
        self.catalog.problems()
    }
}
