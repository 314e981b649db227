//! ELF files: what they are (`image`), their DWARF (`dwarf`), their symbol tables (`symtab`).

mod depth;
mod dwarf;
mod image;
mod minidebug;
mod sections;
mod symtab;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use image::{Architecture, CfiSection, CfiSections, ElfImage};

use self::dwarf::Dwarf;
pub(crate) use self::dwarf::DwarfFiles;
use self::symtab::SymbolTable;
use crate::symbols::{SourceFrame, Symbolication};

/// Why an ELF file, or its DWARF, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    #[error("not a readable ELF file: {0}")]
    Elf(#[from] object::Error),
    #[error("unreadable DWARF: {0}")]
    Dwarf(#[from] gimli::Error),
    #[error("section {name} says it has {size_bytes} bytes uncompressed, which is refused")]
    SectionSize { name: &'static str, size_bytes: u64 },
    #[error("too many {0}; such a file is refused")]
    TooMuch(&'static str),
    #[error("architecture {0:?} is not supported")]
    Architecture(object::Architecture),
}

/// The symbols of one ELF module: from its own file, a separate debug file, or both.
///
/// DWARF is parsed at the first lookup, and then one compilation unit after the other as
/// addresses fall into them.
pub struct ElfSymbols {
    code: Option<Arc<ElfImage>>,
    debug: Option<Arc<ElfImage>>,
    files: Mutex<Option<DwarfFiles>>,
    dwarf: OnceLock<Option<Mutex<Dwarf>>>,
    dwarf_error: OnceLock<(PathBuf, String)>,
    tables: OnceLock<Vec<SymbolTable>>,
}

impl ElfSymbols {
    pub(crate) fn new(
        code: Option<Arc<ElfImage>>,
        debug: Option<Arc<ElfImage>>,
        files: Option<DwarfFiles>,
    ) -> Self {
        Self {
            code,
            debug,
            files: Mutex::new(files),
            dwarf: OnceLock::new(),
            dwarf_error: OnceLock::new(),
            tables: OnceLock::new(),
        }
    }

    /// The module's own file: code and `.eh_frame`. `None` when only a debug file was found.
    pub fn code(&self) -> Option<&Arc<ElfImage>> {
        self.code.as_ref()
    }

    /// The separate debug file, if one was found.
    pub fn debug(&self) -> Option<&Arc<ElfImage>> {
        self.debug.as_ref()
    }

    /// Path and reason when the DWARF turned out to be unreadable at the first lookup.
    pub(crate) fn dwarf_error(&self) -> Option<&(PathBuf, String)> {
        self.dwarf_error.get()
    }

    /// Reads what every lookup needs.
    pub(crate) fn prepare(&self) {
        let _ = self.dwarf.get_or_init(|| self.load_dwarf());
        self.tables();
    }

    /// Whether the DWARF has been judged: a lookup was made.
    pub(crate) fn is_judged(&self) -> bool {
        self.dwarf.get().is_some()
    }

    /// Symbolicates the address `rva` bytes above the module's base.
    pub(crate) fn lookup(&self, rva: u64) -> Symbolication {
        let Some(image) = self.code.as_ref().or(self.debug.as_ref()) else {
            return Symbolication::default();
        };
        let Some(address) = image.image_base().checked_add(rva) else {
            return Symbolication::default();
        };
        let mut found = self.lookup_dwarf(address);
        self.add_symbol(address, &mut found);
        found.function_rva = found.function_rva.and_then(|at| at.checked_sub(image.image_base()));
        found
    }

    /// Whether the symbol tables name every function: then an address without name is no code.
    pub(crate) fn has_full_symbols(&self) -> bool {
        self.tables().iter().any(SymbolTable::is_full)
    }

    fn lookup_dwarf(&self, address: u64) -> Symbolication {
        let Some(dwarf) = self.dwarf.get_or_init(|| self.load_dwarf()) else {
            return Symbolication::default();
        };
        dwarf.lock().unwrap_or_else(PoisonError::into_inner).lookup(address)
    }

    fn load_dwarf(&self) -> Option<Mutex<Dwarf>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let path = files.path().to_owned();
        match Dwarf::parse(files) {
            Ok(dwarf) => Some(Mutex::new(dwarf)),
            Err(error) => {
                // Only the first error is kept; `set` cannot fail otherwise.
                let _ = self.dwarf_error.set((path, error.to_string()));
                None
            }
        }
    }

    /// Fills the outermost function from the symbol tables where DWARF has no name for it, or
    /// only an unqualified one: C++ functions with internal linkage have no linkage name there.
    fn add_symbol(&self, address: u64, found: &mut Symbolication) {
        let symbol = self.tables().iter().find_map(|table| table.find(address));
        let Some(symbol) = symbol else { return };
        let start = *found.function_rva.get_or_insert(symbol.address);
        match found.frames.last_mut() {
            Some(frame) if frame.function.is_none() => frame.function = Some(symbol.demangled()),
            Some(frame) if start == symbol.address && symbol.is_mangled() => {
                let is_same = |name: &String| symbol.demangled_base().contains(name.as_str());
                if frame.function.as_ref().is_some_and(is_same) {
                    frame.function = Some(symbol.demangled_base());
                }
            }
            Some(_) => {}
            None => found
                .frames
                .push(SourceFrame { function: Some(symbol.demangled()), ..SourceFrame::default() }),
        }
    }

    fn tables(&self) -> &[SymbolTable] {
        self.tables.get_or_init(|| {
            let images = [self.debug.as_ref(), self.code.as_ref()].into_iter().flatten();
            images.flat_map(|image| SymbolTable::read_all(image)).collect()
        })
    }
}
