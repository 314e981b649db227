//! What is told of the files that were taken.

use std::path::Path;

use super::Found;
use crate::status::{ModuleStatus, SymbolKind};

/// The best of what was found; `None` when there is nothing. `dwarf`: where DWARF was loaded from.
pub(super) fn loaded_status(found: &Found, dwarf: Option<&Path>) -> Option<ModuleStatus> {
    let loaded = |path: &Path, kind| Some(ModuleStatus::Loaded { path: path.to_owned(), kind });
    if let Some(pdb) = &found.pdb {
        return loaded(pdb.path(), SymbolKind::Pdb);
    }
    if let Some(path) = dwarf {
        return loaded(path, SymbolKind::Dwarf);
    }
    let breakpad = found.breakpad.as_ref();
    if let Some((path, _)) = breakpad.filter(|(_, symbols)| symbols.has_functions()) {
        return loaded(path, SymbolKind::Breakpad);
    }
    let has_names = |image: &crate::image::Image| image.has_symbol_table();
    if let Some(image) = found.images().find(|image| has_names(image)) {
        return loaded(image.path(), SymbolKind::SymbolTable);
    }
    if let Some(image) = found.pe.as_ref().filter(|image| image.has_exports()) {
        return loaded(image.path(), SymbolKind::SymbolTable);
    }
    let with_cfi = found.images().find(|image| image.has_cfi()).map(|image| image.path());
    if let Some(path) = with_cfi.or(breakpad.map(|(path, _)| path.as_path())) {
        return loaded(path, SymbolKind::CfiOnly);
    }
    let path = found.images().next()?.path().to_owned();
    let reason = "holds neither symbols nor call frame information".to_owned();
    Some(ModuleStatus::Malformed { path, reason })
}
