//! Program databases (PDB): functions, inlined calls, lines and public symbols of Windows images.
//!
//! | file | what |
//! |---|---|
//! | `msf` | the container and its streams |
//! | `info` | identity, named streams |
//! | `dbi` | modules, contributions, where the other streams are |
//! | `module`, `records`, `lines`, `annotations` | one module: functions, inlined calls, lines |
//! | `types` | names of inlined functions |
//! | `publics` | linker names by address |
//! | `address` | sections and offsets to addresses of the image |
//! | `frames` | how frames of 32-bit x86 are laid out |
//! | `boundaries` | where answers change |
//! | `source_servers` | where sources can be had from |
//!
//! Streams are read when a lookup needs them: a lookup in a PDB of 1 GiB reads the DBI stream, one
//! module and some blocks of the others.

mod address;
mod annotations;
mod boundaries;
mod dbi;
mod frames;
mod info;
mod lines;
mod module;
mod msf;
mod publics;
mod records;
mod source_servers;
mod types;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use debugid::DebugId;

use self::address::AddressMap;
use self::dbi::{Dbi, MACHINE_X86};
pub use self::frames::FrameRecord;
use self::frames::FrameTable;
use self::info::{Info, named_stream};
use self::module::{InlineCall, Module};
use self::msf::Msf;
use self::publics::{PublicName, Publics};
use self::records::Procedure;
pub use self::source_servers::SourceServer;
use self::types::Types;
use crate::bytes::text_at;
use crate::demangle::{Decoration, Demangler};
use crate::file::MappedFile;
use crate::symbols::{SourceFrame, Symbolication};

const INFO_STREAM: usize = 1;
const TYPE_STREAM: usize = 2;
const DEBUG_STREAM: usize = 3;
const ID_STREAM: usize = 4;
/// Strings start behind signature, version and size of `/names`.
const NAMES_HEAD_BYTES: usize = 12;
/// Ids above are another module's.
const CROSS_MODULE: u32 = 1 << 31;
/// Public symbols at one address that are compared: identical functions that were folded.
const MAX_FOLDED: usize = 64;
/// Of linker names of C++.
const CPP_PREFIX: char = '?';
/// Names of inlined functions remembered.
const MAX_NAMES: usize = 64 << 10;

/// Why a PDB cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PdbError {
    #[error("not a PDB of version 7.00")]
    Magic,
    #[error("a block size of {0} bytes, expected a power of two from 256 to 8 MiB")]
    BlockSize(usize),
    #[error("the {0} is cut")]
    Cut(&'static str),
    #[error("too many {0}; such a file is refused")]
    TooMuch(&'static str),
    #[error("no debug information stream: a PDB of types only")]
    NoDebugStream,
}

/// What identifies a PDB, without reading more of it.
pub(crate) fn read_debug_id(file: &Arc<MappedFile>) -> Result<Option<DebugId>, PdbError> {
    let msf = Msf::parse(file)?;
    let age = debug_stream_age(&msf);
    Ok(read_info(&msf).and_then(|info| debug_id(&info, age)))
}

/// Whether a file starts as a PDB.
pub(crate) fn is_pdb(bytes: &[u8]) -> bool {
    bytes.starts_with(msf::MAGIC)
}

fn read_info(msf: &Msf) -> Option<Info> {
    Info::parse(&msf.stream(INFO_STREAM)?.read().ok()?)
}

fn debug_stream_age(msf: &Msf) -> Option<u32> {
    let head = msf.stream(DEBUG_STREAM)?.copy(0, 64).ok()?;
    Dbi::age_and_machine(&head).map(|(age, _)| age)
}

/// The age that counts is the debug information stream's: tools that add streams raise the other.
fn debug_id(info: &Info, age: Option<u32>) -> Option<DebugId> {
    DebugId::from_guid_age(&info.guid, age.unwrap_or(info.age)).ok()
}

/// An opened PDB.
pub(crate) struct Pdb {
    file: Arc<MappedFile>,
    msf: Msf,
    dbi: Dbi,
    map: AddressMap,
    debug_id: Option<DebugId>,
    /// `/names`: file names.
    names: Option<Arc<MappedFile>>,
    publics: Option<Publics>,
    ids: OnceLock<Option<Types>>,
    types: OnceLock<Option<Types>>,
    frames: OnceLock<FrameTable>,
    modules: Mutex<HashMap<usize, Option<Arc<Module>>>>,
    inline_names: Mutex<HashMap<u32, Option<String>>>,
    demangler: Demangler,
}

impl Pdb {
    /// Reads the lists of streams, modules and contributions.
    pub(crate) fn parse(file: &Arc<MappedFile>) -> Result<Self, PdbError> {
        let msf = Msf::parse(file)?;
        let info_stream = msf.stream(INFO_STREAM).map(|stream| stream.read()).transpose()?;
        let info = info_stream.as_ref().and_then(|stream| Info::parse(stream));
        let dbi = msf.stream(DEBUG_STREAM).ok_or(PdbError::NoDebugStream)?.read()?;
        let dbi = Dbi::parse(&dbi)?;
        let names = info_stream
            .and_then(|stream| named_stream(&stream, b"/names"))
            .and_then(|index| msf.stream(index)?.read().ok());
        Ok(Self {
            file: file.clone(),
            map: AddressMap::read(&msf, &dbi),
            debug_id: info.and_then(|info| debug_id(&info, Some(dbi.age))),
            names,
            publics: Publics::open(&msf, dbi.public_stream, dbi.symbol_stream),
            ids: OnceLock::new(),
            types: OnceLock::new(),
            frames: OnceLock::new(),
            modules: Mutex::default(),
            inline_names: Mutex::default(),
            demangler: Demangler::default(),
            msf,
            dbi,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn debug_id(&self) -> Option<DebugId> {
        self.debug_id
    }

    /// Symbolicates the address `rva` bytes above the module's base.
    pub(crate) fn lookup(&self, rva: u64) -> Symbolication {
        let place = u32::try_from(rva).ok().and_then(|rva| self.map.to_section(rva));
        place.map_or_else(Symbolication::default, |(section, offset)| self.find(section, offset))
    }

    /// How the frame at an address is laid out; 32-bit x86 only.
    pub(crate) fn frame_record(&self, rva: u64) -> Option<FrameRecord> {
        let rva = u32::try_from(rva).ok()?;
        let table = self.frames.get_or_init(|| FrameTable::read(&self.msf, &self.dbi));
        table.find(rva, |name| self.text(name))
    }

    fn find(&self, section: u16, offset: u32) -> Symbolication {
        let module = self.dbi.module_at(section, offset).and_then(|index| self.module(index));
        let procedure = module.as_ref().and_then(|module| module.procedure(section, offset));
        let place = module.as_ref().and_then(|module| module.place(section, offset));
        let (file, line) = place.unwrap_or_default();
        let (function, start) = self.function(module.as_deref(), procedure, section, offset);
        let mut frames = match module.as_ref().zip(procedure) {
            Some((module, procedure)) => self.inline_frames(module, procedure, offset),
            None => Vec::new(),
        };
        let file = file.and_then(|name| self.text(name));
        if function.is_none() && file.is_none() {
            return Symbolication::default();
        }
        frames.push(SourceFrame { function, file, line, is_inline: false });
        let function_rva = start.and_then(|start| self.map.to_rva(section, start)).map(u64::from);
        let parameter_bytes = function_rva.map_or(0, |rva| self.parameter_bytes(rva));
        Symbolication { frames, function_rva, parameter_bytes }
    }

    fn parameter_bytes(&self, rva: u64) -> u32 {
        if self.dbi.machine != MACHINE_X86 {
            return 0;
        }
        self.frame_record(rva).map_or(0, |record| record.parameter_bytes)
    }

    /// Name and start of the function at an address: the linker's name where there is one at its
    /// start, else the compiler's; without a function, the last public symbol before.
    fn function(
        &self,
        module: Option<&Module>,
        procedure: Option<&Procedure>,
        section: u16,
        offset: u32,
    ) -> (Option<String>, Option<u32>) {
        let Some((module, procedure)) = module.zip(procedure) else {
            let public = self.public_before(section, offset);
            let start = public.as_ref().map(|public| public.offset);
            return (public.map(|public| self.source_name(&public.name)), start);
        };
        let start = Some(procedure.offset);
        if let Some((section, offset)) = procedure.parent {
            return (self.name_at(section, offset), start);
        }
        let own = module.name(procedure);
        let public = self.public_at(procedure.section, procedure.offset, own.as_deref());
        (public.or(own.map(|name| self.demangler.demangle(&name))), start)
    }

    /// The name of the function that starts at an address.
    fn name_at(&self, section: u16, offset: u32) -> Option<String> {
        let module = self.module(self.dbi.module_at(section, offset)?)?;
        let own = module.procedure(section, offset).and_then(|one| module.name(one));
        let public = self.public_at(section, offset, own.as_deref());
        public.or(own.map(|name| self.demangler.demangle(&name)))
    }

    fn public_before(&self, section: u16, offset: u32) -> Option<PublicName> {
        let is_code = self.map.is_executable(section);
        self.publics.as_ref().filter(|_| is_code)?.find(section, offset)
    }

    /// The public name of a function. Of several at its address: in C++ the one that is its own, the
    /// others being functions that the linker folded into it; in C and assembly, where they are
    /// names of one function (`memcpy` and `memmove`), the last, as other readers take it.
    fn public_at(&self, section: u16, offset: u32, own: Option<&str>) -> Option<String> {
        let publics = self.publics.as_ref()?;
        let linker_names = publics.names_at(section, offset, MAX_FOLDED);
        let last = self.source_name(linker_names.first()?);
        let own = own.map(|own| self.demangler.demangle(own));
        let is_own = |name: &String| own.as_deref() == Some(without_parameters(name));
        if is_own(&last) {
            return Some(last);
        }
        let in_cpp = linker_names.iter().skip(1).filter(|name| name.starts_with(CPP_PREFIX));
        let mut names = in_cpp.map(|name| self.source_name(name));
        Some(names.find(is_own).unwrap_or(last))
    }

    fn source_name(&self, linker_name: &str) -> String {
        let decoration =
            if self.dbi.machine == MACHINE_X86 { Decoration::Pe32 } else { Decoration::None };
        self.demangler.demangle(decoration.remove(linker_name))
    }

    /// Innermost first.
    fn inline_frames(
        &self,
        module: &Module,
        procedure: &Procedure,
        offset: u32,
    ) -> Vec<SourceFrame> {
        let Some(within) = offset.checked_sub(procedure.offset) else { return Vec::new() };
        let calls = module.inline_calls(procedure, within);
        let frame = |call: &InlineCall| SourceFrame {
            function: self.inline_name(module, call.inlinee),
            file: call.file.and_then(|file| self.text(module.file(file)?)),
            line: call.line,
            is_inline: true,
        };
        calls.iter().rev().map(frame).collect()
    }

    fn inline_name(&self, module: &Module, id: u32) -> Option<String> {
        let id = if id & CROSS_MODULE == 0 { id } else { self.imported(module, id)? };
        let lock = || self.inline_names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = lock().get(&id) {
            return name.clone();
        }
        let ids = self.ids.get_or_init(|| Types::open(&self.msf, ID_STREAM)).as_ref()?;
        let types = self.types.get_or_init(|| Types::open(&self.msf, TYPE_STREAM)).as_ref();
        let name = ids.function_name(id, types).filter(|name| !name.is_empty());
        let name = name.map(|name| self.demangler.demangle(&name));
        let mut names = lock();
        if names.len() < MAX_NAMES {
            names.insert(id, name.clone());
        }
        name
    }

    /// The id that another module exports.
    fn imported(&self, module: &Module, id: u32) -> Option<u32> {
        let (name, id) = module.import(id)?;
        let exporter = self.dbi.module_named(self.text(name)?.as_bytes())?;
        self.module(exporter)?.export(id)
    }

    fn module(&self, index: usize) -> Option<Arc<Module>> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || Module::read(&self.msf, self.dbi.modules.get(index)?).map(Arc::new);
        modules.entry(index).or_insert_with(read).clone()
    }

    /// A string of `/names`.
    fn text(&self, offset: usize) -> Option<String> {
        let text = text_at(self.names.as_ref()?, NAMES_HEAD_BYTES.checked_add(offset)?)?;
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

/// A name before its parameters; operators may hold a bracket in their own names.
fn without_parameters(name: &str) -> &str {
    let search_from = name.find("operator()").map_or(0, |at| at.saturating_add(10));
    let end = name.get(search_from..).and_then(|rest| rest.find('('));
    let end = end.and_then(|end| end.checked_add(search_from)).filter(|end| *end > 0);
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}
