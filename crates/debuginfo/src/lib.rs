//! Names, types and variables of one module, out of its own debug information.
//!
//! Owns: symbols by name and by pattern, types with their fields, the place of a variable in a
//! frame; from DWARF (ELF, PE, Mach-O), PDB, symbol tables and Breakpad `.sym` files. Does not
//! own: finding the files (`lastwords-symbols`), lines and stacks (there, and `lastwords-unwind`),
//! reading the process ([`FrameState`]), or the text of a value.
//!
//! Addresses are RVAs: bytes above the module's base. Files are foreign bytes: counts and depths
//! are bounded, and what cannot be read is a note ([`DebugInfo::notes`]), never an error of the
//! whole.
#![forbid(unsafe_code)]
// DWARF's constants are spelled as the standard spells them.
#![allow(non_upper_case_globals)]

mod breakpad;
mod dwarf;
mod names;
mod object_file;
mod pattern;
mod pdb;
mod types;

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};

use lastwords_symbols::MappedFile;

use crate::dwarf::DwarfInfo;
use crate::names::NameTable;
use crate::object_file::ObjectFile;
use crate::pdb::PdbInfo;

pub use names::{Name, NameKind};
pub use pattern::Pattern;
pub use types::{Enumerator, Field, Kind, Type, TypeEntry, TypeRef};

/// The frame that variables are wanted of.
pub trait FrameState {
    /// A register by the name that minidump's contexts give it; `None` when not known.
    fn register(&self, name: &str) -> Option<u64>;
    /// Bytes of the process; `None` unless all of them are known.
    fn memory(&self, address: u64, size: usize) -> Option<Vec<u8>>;
    /// The stack pointer of the caller, which is where the frame ends.
    fn cfa(&self) -> Option<u64>;
    /// Where the module was loaded.
    fn module_base(&self) -> u64;
    /// The caller's frame, if it is of the same module; `None` otherwise.
    fn caller(&self) -> Option<Caller<'_>>;
}

/// The frame that a call came from.
pub struct Caller<'a> {
    /// Where the call returns to.
    pub return_rva: u64,
    /// The frame.
    pub frame: Box<dyn FrameState + 'a>,
}

/// Where a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Address(u64),
    /// Nowhere but its value is known: in registers, a constant, or pieces put together.
    Bytes(Vec<u8>),
    /// Put together of pieces, some of which are nowhere: offset and size of each of those.
    Parts(Vec<u8>, Vec<(usize, usize)>),
    /// Not to be had, and why.
    Gone(String),
}

/// A parameter or local variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// As in the source; empty for parameters without a name.
    pub name: String,
    /// Whether it is a parameter.
    pub is_parameter: bool,
    /// For [`DebugInfo::describe`]; `None` when the type is not told.
    pub type_id: Option<u64>,
    /// Where it is.
    pub place: Place,
    /// The place in words: `@rdi`, `@rbp-0x14`.
    pub whereabouts: String,
}

/// A function that runs in a frame, or was inlined there.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its name; `None` when not told.
    pub function: Option<String>,
    /// Whether it was inlined into the next scope.
    pub is_inline: bool,
    /// Where its code, or the inlined part, starts.
    pub start_rva: Option<u64>,
    /// Parameters first, then variables, those of inner blocks last.
    pub variables: Vec<Variable>,
}

/// Up to `size` bytes of a module's files that the process cannot have changed; nothing else of the
/// files is read. `None` where none of them tells.
#[must_use]
pub fn constant_bytes(paths: &[PathBuf], rva: u64, size: usize) -> Option<Vec<u8>> {
    let mut objects = paths.iter().filter_map(|path| ObjectFile::of_path(path));
    objects.find_map(|object| object.constant_bytes(rva, size))
}

/// The debug information of one module.
#[derive(Default)]
pub struct DebugInfo {
    objects: Vec<ObjectFile>,
    dwarf: Option<DwarfInfo>,
    pdb: Option<PdbInfo>,
    sym_files: Vec<PathBuf>,
    names: OnceCell<NameTable>,
    notes: RefCell<Vec<String>>,
}

impl DebugInfo {
    /// Opens the files of a module, the one with its code first. Never fails: see
    /// [`DebugInfo::notes`].
    #[must_use]
    pub fn open(paths: &[PathBuf]) -> Self {
        Self::open_all(paths, false)
    }

    /// The same, with the files of this machine that they name: split units (`.dwo`, a `.dwp`
    /// beside), dwz's supplementary file.
    #[must_use]
    pub fn open_with_named(paths: &[PathBuf]) -> Self {
        Self::open_all(paths, true)
    }

    fn open_all(paths: &[PathBuf], follows: bool) -> Self {
        let mut info = Self::default();
        let mut seen: Vec<&Path> = Vec::new();
        for path in paths {
            if !seen.contains(&path.as_path()) {
                seen.push(path);
                info.add(path, follows);
            }
        }
        info
    }

    fn add(&mut self, path: &Path, follows: bool) {
        let file = match MappedFile::map(path) {
            Ok(file) => file,
            Err(error) => return self.note(path, &error),
        };
        if file.starts_with(b"Microsoft C/C++ MSF 7.00") {
            match PdbInfo::open(&file) {
                Ok(pdb) => self.pdb = Some(pdb),
                Err(error) => self.note(path, &error),
            }
            return;
        }
        if file.starts_with(b"MODULE ") {
            self.sym_files.push(path.to_owned());
            return;
        }
        let object = match ObjectFile::open(file) {
            Ok(object) => object,
            Err(error) => return self.note(path, &error),
        };
        if self.dwarf.is_none() && object.has_dwarf() {
            match DwarfInfo::load(&object, follows) {
                Ok(dwarf) => self.dwarf = Some(dwarf),
                Err(error) => self.note(path, &error),
            }
        }
        self.objects.push(object);
    }

    fn note(&self, path: &Path, problem: &dyn std::fmt::Display) {
        self.notes.borrow_mut().push(format!("{}: {problem}", path.display()));
    }

    /// What could not be read, in words.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// Up to `size` bytes of the module's file that the process cannot have changed: code and
    /// constants. `None` where nothing is known.
    #[must_use]
    pub fn constant_bytes(&self, rva: u64, size: usize) -> Option<Vec<u8>> {
        self.objects.iter().find_map(|object| object.constant_bytes(rva, size))
    }

    fn table(&self) -> &NameTable {
        self.names.get_or_init(|| {
            let mut table = NameTable::default();
            if let Some(dwarf) = &self.dwarf {
                dwarf.add_names(&mut table);
            }
            if let Some(pdb) = &self.pdb {
                pdb.add_names(&mut table);
            }
            for path in &self.sym_files {
                if let Err(error) = breakpad::add_names(path, &mut table) {
                    self.note(path, &error);
                }
            }
            for object in &self.objects {
                object.add_names(&mut table);
            }
            table.finish();
            if table.is_cut() {
                let text = "more symbols than are kept; the rest was left out".to_owned();
                self.notes.borrow_mut().push(text);
            }
            table
        })
    }

    /// The symbol that is at `rva` or nearest below it, and the next one above.
    #[must_use]
    pub fn around(&self, rva: u64) -> (Option<&Name>, Option<&Name>) {
        self.table().around(rva)
    }

    /// At most `max` symbols whose name matches, by address; and whether there are more.
    #[must_use]
    pub fn names_like(&self, pattern: &str, max: usize) -> (Vec<&Name>, bool) {
        self.table().like(&Pattern::new(pattern), max)
    }

    /// The symbols of a name, functions first. Parameters need not be told.
    #[must_use]
    pub fn names_equal(&self, name: &str) -> Vec<&Name> {
        self.table().equal(name)
    }

    /// The functions that run at `rva`, innermost inline one first, with their variables.
    #[must_use]
    pub fn variables(&self, rva: u64, frame: &dyn FrameState) -> Vec<Scope> {
        let from_pdb = self.pdb.as_ref().map(|pdb| pdb.variables(rva, frame));
        let found = from_pdb.filter(|scopes| !scopes.is_empty());
        found
            .or_else(|| self.dwarf.as_ref().map(|dwarf| dwarf.variables(rva, frame)))
            .unwrap_or_default()
    }

    /// Where the inline parts that hold `rva` start, innermost first.
    #[must_use]
    pub fn inline_starts(&self, rva: u64) -> Vec<u64> {
        if let Some(pdb) = &self.pdb {
            return pdb.inline_starts(rva);
        }
        self.dwarf.as_ref().map(|dwarf| dwarf.inline_starts(rva)).unwrap_or_default()
    }

    /// At most `max` types whose name matches; and whether there are more.
    #[must_use]
    pub fn types_like(&self, pattern: &str, max: usize) -> (Vec<TypeEntry>, bool) {
        let pattern = Pattern::new(pattern);
        if let Some(pdb) = &self.pdb {
            return pdb.types_like(&pattern, max);
        }
        self.dwarf.as_ref().map(|dwarf| dwarf.types_like(&pattern, max)).unwrap_or_default()
    }

    /// A type with its fields; `None` for an id that is none.
    #[must_use]
    pub fn describe(&self, id: u64) -> Option<Type> {
        if let Some(pdb) = &self.pdb {
            return pdb.describe(id);
        }
        self.dwarf.as_ref()?.describe(id)
    }

    /// Where a global variable is, and its type.
    #[must_use]
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        if let Some(pdb) = &self.pdb {
            return pdb.global(name);
        }
        self.dwarf.as_ref()?.global(name)
    }
}
