//! ELF files: what they are (`image`), the symbols packed into them (`minidebug`).

mod image;
mod minidebug;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::image::ElfImage;
pub(crate) use self::minidebug::unpack_debugdata;
use crate::dwarf::DwarfFiles;
use crate::image::ImageSymbols;
use crate::symbols::Symbolication;

/// The symbols of one ELF module: from its own file, a separate debug file, or both.
///
/// DWARF is parsed at the first lookup, and then one compilation unit after the other as
/// addresses fall into them.
pub struct ElfSymbols {
    code: Option<Arc<ElfImage>>,
    debug: Option<Arc<ElfImage>>,
    symbols: ImageSymbols,
}

impl ElfSymbols {
    pub(crate) fn new(
        code: Option<Arc<ElfImage>>,
        debug: Option<Arc<ElfImage>>,
        files: Option<DwarfFiles>,
    ) -> Self {
        let images = [&debug, &code].into_iter().flatten().map(|image| image.image().clone());
        let symbols = ImageSymbols::new(images.collect(), files);
        Self { symbols, code, debug }
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
        self.symbols.dwarf_error()
    }

    /// Symbolicates the address `rva` bytes above the module's base.
    pub(crate) fn lookup(&self, rva: u64) -> Symbolication {
        self.symbols.lookup(rva)
    }

    /// Whether the symbol tables name every function: then an address without name is no code.
    pub(crate) fn has_full_symbols(&self) -> bool {
        self.symbols.has_full_symbols()
    }
}
