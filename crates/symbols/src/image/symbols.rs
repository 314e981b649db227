//! DWARF and symbol tables of the images of one module.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::{Architecture, Image, ImageFormat};
use crate::demangle::without_argument_bytes;
use crate::dwarf::{DwarfFiles, LazyDwarf};
use crate::symbols::{SourceFrame, Symbolication};
use crate::symtab::{NamedSymbol, SymbolTable};

/// What the images of a module, its own file and a debug file, say of its addresses.
pub(crate) struct ImageSymbols {
    /// Best first; they may have different bases (prelinked files).
    images: Vec<Arc<Image>>,
    dwarf: LazyDwarf,
    /// Each with its image's base.
    tables: OnceLock<Vec<(u64, SymbolTable)>>,
}

impl ImageSymbols {
    /// `images`: best first; the DWARF belongs to the first.
    pub(crate) fn new(images: Vec<Arc<Image>>, files: Option<DwarfFiles>) -> Self {
        Self { images, dwarf: LazyDwarf::new(files), tables: OnceLock::new() }
    }

    /// Path and reason when the DWARF turned out to be unreadable at the first lookup.
    pub(crate) fn dwarf_error(&self) -> Option<&(PathBuf, String)> {
        self.dwarf.error()
    }

    /// Symbolicates the address `rva` bytes above the module's base.
    pub(crate) fn lookup(&self, rva: u64) -> Symbolication {
        let base = self.images.first().map_or(0, |image| image.image_base());
        let mut found = match base.checked_add(rva) {
            Some(address) => self.dwarf.lookup(address),
            None => Symbolication::default(),
        };
        found.function_rva = found.function_rva.and_then(|at| at.checked_sub(base));
        self.add_symbol(rva, &mut found);
        self.undecorate(&mut found);
        found
    }

    /// DWARF of 32-bit Windows names functions with the bytes of their arguments (`f@12`).
    fn undecorate(&self, found: &mut Symbolication) {
        let is_pe32 = |image: &Arc<Image>| {
            image.format() == ImageFormat::Pe && image.architecture() == Architecture::X86
        };
        if !self.images.first().is_some_and(is_pe32) {
            return;
        }
        for function in found.frames.iter_mut().filter_map(|frame| frame.function.as_mut()) {
            let plain = without_argument_bytes(function).len();
            function.truncate(plain);
        }
    }

    /// Whether the symbol tables name every function: then an address without name is no code.
    pub(crate) fn has_full_symbols(&self) -> bool {
        self.tables().iter().any(|(_, table)| table.is_full())
    }

    /// Fills the outermost function from the symbol tables where DWARF has no name for it, or
    /// only an unqualified one: C++ functions with internal linkage have no linkage name there.
    fn add_symbol(&self, rva: u64, found: &mut Symbolication) {
        let Some((symbol_rva, symbol)) = self.find_symbol(rva) else { return };
        let start = *found.function_rva.get_or_insert(symbol_rva);
        match found.frames.last_mut() {
            Some(frame) if frame.function.is_none() => frame.function = Some(symbol.demangled()),
            Some(frame) if start == symbol_rva && symbol.is_mangled() => {
                let qualified = symbol.demangled_base();
                let is_same = |name: &String| qualified.contains(without_lists(name));
                // Some names cannot be demangled.
                let is_demangled =
                    !["_Z", "_R", "?"].iter().any(|mark| qualified.starts_with(mark));
                if is_demangled && frame.function.as_ref().is_some_and(is_same) {
                    frame.function = Some(qualified);
                }
            }
            Some(_) => {}
            None => found
                .frames
                .push(SourceFrame { function: Some(symbol.demangled()), ..SourceFrame::default() }),
        }
    }

    fn find_symbol(&self, rva: u64) -> Option<(u64, NamedSymbol<'_>)> {
        self.tables().iter().find_map(|(base, table)| {
            let symbol = table.find(base.checked_add(rva)?)?;
            Some((symbol.address.checked_sub(*base)?, symbol))
        })
    }

    fn tables(&self) -> &[(u64, SymbolTable)] {
        let read = |image: &Arc<Image>| {
            let base = image.image_base();
            SymbolTable::read_all(image).into_iter().map(move |table| (base, table))
        };
        self.tables.get_or_init(|| self.images.iter().flat_map(read).collect())
    }
}

/// A name before its template and parameter lists, in which DWARF leaves defaults out.
fn without_lists(name: &str) -> &str {
    let end = name.find(['<', '(']).filter(|end| *end > 0);
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}
