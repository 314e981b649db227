//! From one kind of crash file to another.
//!
//! | from | to | file |
//! |---|---|---|
//! | minidump of Linux, x86-64 and AArch64 | ELF core that gdb opens | `minidump`, `registers`, `link_map`, `elf` |
//! | ELF core of Linux, x86-64 | minidump with all memory, or any other kind | `core` |
//! | ELF core of Linux, i386, ARM, AArch64, MIPS | minidump with all memory | `foreign_core` |
//! | microdump of Breakpad, text in a log | minidump | `microdump` |
//!
//! Memory is copied from file to file and never held as a whole. What the source does not say is left
//! out of the result, and told.
#![forbid(unsafe_code)]

mod core;
mod elf;
mod error;
mod foreign_core;
mod link_map;
mod maps;
mod memory;
mod microdump;
mod minidump_file;
mod minidump_source;
mod registers;

use std::path::Path;

pub use self::error::{CODES, ConvertError};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `MDMP`.
    Minidump,
    /// An ELF file of type `ET_CORE`.
    Core,
    /// Text with the lines of a microdump.
    Microdump,
}

impl FileKind {
    /// A stable word: `minidump`, `core`, `microdump`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minidump => "minidump",
            Self::Core => "core",
            Self::Microdump => "microdump",
        }
    }
}

/// What a conversion did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Threads in the result.
    pub threads: usize,
    /// Bytes of memory in the result.
    pub memory_bytes: u64,
    /// What could not be had, one sentence each.
    pub notes: Vec<String>,
}

/// What the file at `path` is, after its first bytes; of a log, whether a microdump begins in it.
///
/// # Errors
/// The file cannot be read, or is of another kind.
pub fn kind_of(path: &Path) -> Result<FileKind, ConvertError> {
    minidump_file::kind_of(path)
}

/// Writes an ELF core with what a minidump of Linux says.
///
/// # Errors
/// The minidump cannot be used, or the core not be written.
pub fn minidump_to_core(from: &Path, to: &Path) -> Result<Converted, ConvertError> {
    minidump_source::convert(from, to)
}

/// Writes a minidump of `kind` (as in dump plans: `full`, `mini`, `custom:FLAGS`) with what an ELF
/// core says. Of other processors than x86-64 there is one kind: all memory, no Python.
///
/// # Errors
/// The core cannot be used, or the minidump not be written.
pub fn core_to_minidump(from: &Path, to: &Path, kind: &str) -> Result<Converted, ConvertError> {
    if foreign_core::is_one(from) {
        return foreign_core::convert(from, to, kind);
    }
    core::convert(from, to, kind)
}

/// Writes a minidump with what the first microdump in a log says.
///
/// # Errors
/// There is none, it says too little, or the minidump cannot be written.
pub fn microdump_to_minidump(from: &Path, to: &Path) -> Result<Converted, ConvertError> {
    microdump::convert(from, to)
}
