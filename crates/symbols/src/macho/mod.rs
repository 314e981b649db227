//! Mach-O files: what they are (`image`), their dSYM bundles (`bundle`), where their functions
//! begin (`starts`).

mod bundle;
mod image;
mod starts;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::bundle::{beside, dwarf_files};
pub use self::image::MachImage;
pub(crate) use self::image::is_mach;
pub(crate) use self::starts::function_starts;
use crate::dwarf::DwarfFiles;
use crate::image::ImageSymbols;
use crate::symbols::Symbolication;

/// The symbols of one Mach-O module: from its own file, its dSYM, or both.
pub struct MachSymbols {
    code: Option<Arc<MachImage>>,
    debug: Option<Arc<MachImage>>,
    symbols: ImageSymbols,
}

impl MachSymbols {
    pub(crate) fn new(
        code: Option<Arc<MachImage>>,
        debug: Option<Arc<MachImage>>,
        files: Option<DwarfFiles>,
    ) -> Self {
        let images = [&debug, &code].into_iter().flatten().map(|image| image.image().clone());
        let symbols = ImageSymbols::new(images.collect(), files);
        Self { symbols, code, debug }
    }

    /// The module's own file: code and unwind information. `None` when only a dSYM was found.
    pub fn code(&self) -> Option<&Arc<MachImage>> {
        self.code.as_ref()
    }

    /// The file with DWARF or symbols: a dSYM's, or the module's own.
    pub fn debug(&self) -> Option<&Arc<MachImage>> {
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
}
