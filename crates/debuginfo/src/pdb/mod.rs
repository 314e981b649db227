//! PDB files: functions, variables and types, through the crate `pdb2`.
//!
//! `lastwords-symbols` reads PDBs on its own for names and lines of addresses; what is here is
//! asked rarely, by a person, and reads whole streams.

mod locals;
mod registers;
mod table;
mod types;

use std::cell::{OnceCell, RefCell};
use std::io::Cursor;
use std::sync::Arc;

use lastwords_symbols::MappedFile;
use pdb2::{
    AddressMap, DebugInformation, FallibleIterator, MachineType, ModuleInfo, PDB,
    PdbInternalSectionOffset, SymbolData,
};

use self::table::TypeTable;
use crate::names::{NameKind, NameTable};
use crate::types::{Type, TypeEntry};
use crate::{FrameState, Pattern, Scope};

/// PDBs above this size are refused; those of browsers have 1 to 3 GiB.
const MAX_FILE_BYTES: usize = 4 << 30;
const MAX_MODULES: usize = 1 << 20;
/// Symbols of one PDB that are looked at.
const MAX_SYMBOLS: usize = 32 << 20;

/// The file's bytes, to be read at any place.
#[derive(Clone, Debug)]
struct Shared(Arc<MappedFile>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

type File = PDB<'static, Cursor<Shared>>;

/// A global variable: name, place, type.
struct Global {
    name: String,
    rva: u64,
    type_index: u32,
}

/// An open PDB.
pub(crate) struct PdbInfo {
    file: RefCell<File>,
    addresses: AddressMap<'static>,
    debug: DebugInformation<'static>,
    machine: MachineType,
    /// Start, end and module of each contribution, by start.
    contributions: Vec<(u32, u32, usize)>,
    types: OnceCell<TypeTable>,
    globals: OnceCell<Vec<Global>>,
}

impl PdbInfo {
    /// Reads the directory, the sections and the list of modules.
    pub(crate) fn open(file: &Arc<MappedFile>) -> Result<Self, String> {
        if file.len() > MAX_FILE_BYTES {
            return Err(format!("{} bytes, at most {MAX_FILE_BYTES} are read", file.len()));
        }
        let text = |error: pdb2::Error| error.to_string();
        let mut pdb = PDB::open(Cursor::new(Shared(file.clone()))).map_err(text)?;
        let addresses = pdb.address_map().map_err(text)?;
        let debug = pdb.debug_information().map_err(text)?;
        let machine = debug.machine_type().unwrap_or(MachineType::Unknown);
        let contributions = contributions(&debug, &addresses).unwrap_or_default();
        Ok(Self {
            file: RefCell::new(pdb),
            addresses,
            debug,
            machine,
            contributions,
            types: OnceCell::new(),
            globals: OnceCell::new(),
        })
    }

    fn rva(&self, offset: PdbInternalSectionOffset) -> Option<u64> {
        offset.to_rva(&self.addresses).map(|rva| rva.0.into())
    }

    /// Calls `work` with every module's symbols.
    fn for_each_module(&self, mut work: impl FnMut(&ModuleInfo<'_>)) {
        let Ok(mut modules) = self.debug.modules() else { return };
        let mut left = MAX_MODULES;
        while let (Ok(Some(module)), true) = (modules.next(), left > 0) {
            left = left.saturating_sub(1);
            let info = self.file.borrow_mut().module_info(&module);
            if let Ok(Some(info)) = info {
                work(&info);
            }
        }
    }

    /// The module that holds an address.
    fn module_at(&self, rva: u32) -> Option<ModuleInfo<'static>> {
        let end = self.contributions.partition_point(|(start, _, _)| *start <= rva);
        let before = self.contributions.get(..end)?;
        let (_, _, index) = before.iter().rev().take(16).find(|(_, stop, _)| rva < *stop)?;
        let module = self.debug.modules().ok()?.nth(*index).ok().flatten()?;
        self.file.borrow_mut().module_info(&module).ok().flatten()
    }

    /// Adds functions, variables and public symbols.
    pub(crate) fn add_names(&self, table: &mut NameTable) {
        let mut left = MAX_SYMBOLS;
        self.for_each_module(|module| {
            let Ok(mut symbols) = module.symbols() else { return };
            while let (Ok(Some(symbol)), true) = (symbols.next(), left > 0) {
                left = left.saturating_sub(1);
                if let Ok(SymbolData::Procedure(procedure)) = symbol.parse()
                    && let Some(rva) = self.rva(procedure.offset)
                {
                    let name = procedure.name.to_string().into_owned();
                    table.push(name, rva, Some(procedure.len.into()), NameKind::Function);
                }
            }
        });
        for global in self.globals() {
            table.push(global.name.clone(), global.rva, None, NameKind::Data);
        }
        let globals = self.file.borrow_mut().global_symbols();
        let Ok(globals) = globals else { return };
        let mut symbols = globals.iter();
        while let (Ok(Some(symbol)), true) = (symbols.next(), left > 0) {
            left = left.saturating_sub(1);
            if let Ok(SymbolData::Public(public)) = symbol.parse()
                && let Some(rva) = self.rva(public.offset)
            {
                let name = crate::object_file::demangled(&public.name.to_string());
                table.push(name, rva, None, NameKind::Public);
            }
        }
    }

    fn globals(&self) -> &[Global] {
        self.globals.get_or_init(|| {
            let mut list = Vec::new();
            let mut add = |symbol: &pdb2::Symbol<'_>| {
                let (name, offset, type_index) = match symbol.parse() {
                    Ok(SymbolData::Data(data)) => (data.name, data.offset, data.type_index),
                    _ => return,
                };
                if let Some(rva) = self.rva(offset) {
                    let name = name.to_string().into_owned();
                    list.push(Global { name, rva, type_index: type_index.0 });
                }
            };
            let globals = self.file.borrow_mut().global_symbols();
            if let Ok(globals) = globals {
                let mut symbols = globals.iter();
                while let Ok(Some(symbol)) = symbols.next() {
                    add(&symbol);
                }
            }
            self.for_each_module(|module| {
                let Ok(mut symbols) = module.symbols() else { return };
                while let Ok(Some(symbol)) = symbols.next() {
                    add(&symbol);
                }
            });
            list
        })
    }

    /// See [`crate::DebugInfo::variables`].
    pub(crate) fn variables(&self, rva: u64, frame: &dyn FrameState) -> Vec<Scope> {
        locals::scopes(self, rva, Some(frame)).unwrap_or_default()
    }

    /// See [`crate::DebugInfo::inline_starts`].
    pub(crate) fn inline_starts(&self, rva: u64) -> Vec<u64> {
        let scopes = locals::scopes(self, rva, None).unwrap_or_default();
        let inline = scopes.iter().filter(|scope| scope.is_inline);
        inline.map(|scope| scope.start_rva.unwrap_or(rva)).collect()
    }

    fn table(&self) -> &TypeTable {
        self.types.get_or_init(|| {
            let types = self.file.borrow_mut().type_information();
            types.ok().and_then(|types| TypeTable::read(&types).ok()).unwrap_or_default()
        })
    }

    fn pointer_bytes(&self) -> u64 {
        match self.machine {
            MachineType::Amd64 | MachineType::Arm64 => 8,
            _ => 4,
        }
    }

    /// Types by pattern.
    pub(crate) fn types_like(&self, pattern: &Pattern, max: usize) -> (Vec<TypeEntry>, bool) {
        let names = self.table().names();
        let mut found = names
            .filter(|(_, name, _)| pattern.matches(name))
            .map(|(id, name, size)| TypeEntry { id: u64::from(id), name: name.to_owned(), size });
        let list: Vec<TypeEntry> = found.by_ref().take(max).collect();
        (list, found.next().is_some())
    }

    /// A type with its fields.
    pub(crate) fn describe(&self, id: u64) -> Option<Type> {
        types::describe(self.table(), u32::try_from(id).ok()?, self.pointer_bytes())
    }

    /// A global variable: where it is, and its type.
    pub(crate) fn global(&self, name: &str) -> Option<(u64, u64)> {
        let globals = self.globals();
        let exact = globals.iter().find(|global| global.name == name);
        let last = || globals.iter().find(|global| global.name.rsplit("::").next() == Some(name));
        exact.or_else(last).map(|global| (global.rva, global.type_index.into()))
    }
}

fn contributions(
    debug: &DebugInformation<'_>,
    addresses: &AddressMap<'_>,
) -> Result<Vec<(u32, u32, usize)>, pdb2::Error> {
    let mut list = Vec::new();
    let mut contributions = debug.section_contributions()?;
    while let (Some(one), true) = (contributions.next()?, list.len() < MAX_SYMBOLS) {
        if let Some(rva) = one.offset.to_rva(addresses) {
            list.push((rva.0, rva.0.saturating_add(one.size), one.module));
        }
    }
    list.sort_unstable();
    Ok(list)
}
