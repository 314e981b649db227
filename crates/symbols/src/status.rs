//! What became of the search for a module's symbols.

use std::path::PathBuf;

/// Which information a loaded symbol file gave, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// DWARF: functions, inline frames, files and lines.
    Dwarf,
    /// A PDB: functions, inline frames, files and lines.
    Pdb,
    /// Breakpad `.sym` text.
    Breakpad,
    /// Symbol tables of ELF and Mach-O files, PE's exports: functions only.
    SymbolTable,
    /// Call frame information only.
    CfiOnly,
}

impl SymbolKind {
    /// A stable word for documents: `dwarf`, `pdb`, `breakpad`, `symbol_table`, `cfi_only`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dwarf => "dwarf",
            Self::Pdb => "pdb",
            Self::Breakpad => "breakpad",
            Self::SymbolTable => "symbol_table",
            Self::CfiOnly => "cfi_only",
        }
    }
}

/// Where a module's symbols came from, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleStatus {
    /// Never asked for: no frame lies in the module.
    NotRequested,
    /// The dump gives no id, so no file can be matched.
    NoId,
    /// Loaded.
    Loaded {
        /// The file with the best information.
        path: PathBuf,
        /// What it gave.
        kind: SymbolKind,
    },
    /// No source has a file of this module.
    Missing,
    /// A file of the right name has another id.
    Mismatched {
        /// The file that was looked at.
        path: PathBuf,
        /// The dump's build id or debug id, in hexadecimal, or a PE image's time stamp and size.
        expected: String,
        /// The file's; `None` when it has none.
        found: Option<String>,
    },
    /// A file with the right id, or at the right place, cannot be read.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl ModuleStatus {
    /// A stable word for documents: `not_requested`, `no_id`, `loaded`, `missing`,
    /// `mismatched`, `malformed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotRequested => "not_requested",
            Self::NoId => "no_id",
            Self::Loaded { .. } => "loaded",
            Self::Missing => "missing",
            Self::Mismatched { .. } => "mismatched",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// A symbol source that could not be used, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProblem {
    /// The path as it was given, or the file below it.
    pub path: PathBuf,
    /// What is wrong, and what was expected.
    pub message: String,
}
