//! Symbol tables of any image: address to function name.

use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::Arc;

use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{SectionKind, SymbolKind, SymbolSection};

use crate::demangle::{Decoration, Demangler};
use crate::elf::unpack_debugdata;
use crate::file::MappedFile;
use crate::image::Image;
use crate::pe::code_starts;

/// Symbols of one table beyond this are left out.
const MAX_SYMBOLS: usize = 16 << 20;

/// A function after the symbol tables.
pub(crate) struct NamedSymbol<'a> {
    demangler: &'a Demangler,
    /// As the compiler made it: without what the linker of the format puts around it.
    name: String,
    /// In the file's own address space.
    pub(crate) address: u64,
}

impl NamedSymbol<'_> {
    pub(crate) fn is_mangled(&self) -> bool {
        ["_Z", "_R", "?"].iter().any(|prefix| self.name.starts_with(prefix))
    }

    pub(crate) fn demangled(&self) -> String {
        self.demangler.demangle(&self.name)
    }

    /// The name without the suffix of a compiler's clone (`.cold`, `.part.0`, `.constprop.1`).
    pub(crate) fn demangled_base(&self) -> String {
        let base = self.name.split_once('.').map_or(self.name.as_str(), |(base, _)| base);
        self.demangler.demangle(base)
    }
}

/// The functions of one file, sorted by address. Names stay in the file.
pub(crate) struct SymbolTable {
    bytes: Bytes,
    entries: Vec<Entry>,
    decoration: Decoration,
    demangler: Demangler,
    /// Whether it names every function.
    is_full: bool,
}

/// Where the names are.
enum Bytes {
    File(Arc<MappedFile>),
    Unpacked(Box<[u8]>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(file) => file,
            Self::Unpacked(bytes) => bytes,
        }
    }
}

/// A name of a table.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) address: u64,
    pub(crate) end: u64,
    pub(crate) name_offset: usize,
    pub(crate) name_len: usize,
    /// Lower is better among names of one address; see [`RANK_UNSIZED`].
    pub(crate) rank: u8,
}

/// The symbol says no size: it ends where the next one starts.
pub(crate) const RANK_UNSIZED: u8 = 8;

impl SymbolTable {
    /// The tables of one file: its own, and the one packed into `.gnu_debugdata`. Empty when
    /// none can be read.
    pub(crate) fn read_all(image: &Image) -> Vec<Self> {
        let Ok(object) = image.object() else { return Vec::new() };
        let decoration = Decoration::of(image.format(), image.architecture());
        let (entries, is_full) = read_entries(&object, image.file());
        let mut starts = image.function_starts().to_vec();
        starts.extend(code_starts(&object, image));
        let bytes = Bytes::File(image.file().clone());
        let own = Self::new(bytes, entries, decoration, is_full).bounded(&starts);
        let packed = unpack_debugdata(&object).and_then(|bytes| {
            let (entries, _) = read_entries(&object::File::parse(&*bytes).ok()?, &bytes);
            Some(Self::new(Bytes::Unpacked(bytes), entries, decoration, true))
        });
        let tables = [Some(own), packed].into_iter().flatten();
        tables.filter(|table| !table.entries.is_empty()).collect()
    }

    /// A table of entries whose names lie in `file`, and which may be a part of all; `starts`:
    /// where further functions begin.
    pub(crate) fn of_entries(
        file: Arc<MappedFile>,
        entries: Vec<Entry>,
        decoration: Decoration,
        starts: &[u64],
    ) -> Self {
        Self::new(Bytes::File(file), entries, decoration, false).bounded(starts)
    }

    fn new(bytes: Bytes, mut entries: Vec<Entry>, decoration: Decoration, is_full: bool) -> Self {
        // Of equals the longest, then the last one of the table: aliases of one function have to
        // be told apart somehow, and this is what other readers do.
        entries.reverse();
        entries.sort_by_key(|entry| (entry.address, entry.rank, Reverse(entry.end)));
        entries.dedup_by_key(|entry| entry.address);
        close_open_ends(&mut entries);
        entries.shrink_to_fit();
        Self { bytes, entries, decoration, demangler: Demangler::default(), is_full }
    }

    /// Ends symbols where the next function starts, though it may have no name.
    fn bounded(mut self, starts: &[u64]) -> Self {
        for entry in self.entries.iter_mut().filter(|entry| entry.rank & RANK_UNSIZED != 0) {
            let after = starts.partition_point(|start| *start <= entry.address);
            if let Some(next) = starts.get(after) {
                entry.end = entry.end.min(*next);
            }
        }
        self
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Starts and ends of all functions.
    pub(crate) fn boundaries(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().flat_map(|entry| [entry.address, entry.end])
    }

    /// The function whose code holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<NamedSymbol<'_>> {
        let after = self.entries.partition_point(|entry| entry.address <= address);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        if address >= entry.end {
            return None;
        }
        let end = entry.name_offset.checked_add(entry.name_len)?;
        let name = String::from_utf8_lossy(self.bytes.get(entry.name_offset..end)?);
        let name = self.decoration.remove(&name).to_owned();
        Some(NamedSymbol { demangler: &self.demangler, name, address: entry.address })
    }
}

/// The full table, or ELF's `.dynsym` where there is none; and whether it was the former.
fn read_entries(object: &object::File<'_>, bytes: &[u8]) -> (Vec<Entry>, bool) {
    let full = collect(object, object.symbols(), bytes);
    // A Mach-O file without local symbols was stripped.
    let is_full = !full.is_empty() && object.format() != object::BinaryFormat::MachO;
    if !full.is_empty() {
        return (full, is_full);
    }
    (collect(object, object.dynamic_symbols(), bytes), false)
}

fn collect<'data>(
    object: &object::File<'data>,
    symbols: impl Iterator<Item = object::Symbol<'data, 'data>>,
    bytes: &[u8],
) -> Vec<Entry> {
    // Bit 0 of an ARM function's address says that its code is Thumb.
    let thumb_bit = u64::from(object.architecture() == object::Architecture::Arm);
    let entry = |symbol: object::Symbol<'data, 'data>| {
        let SymbolSection::Section(index) = symbol.section() else { return None };
        let section = object.section_by_index(index).ok()?;
        if !is_function(object, &symbol, section.kind()) {
            return None;
        }
        let name = symbol.name_bytes().ok().filter(|name| is_name(name))?;
        // Both pointers are into the file.
        let name_offset = name.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
        let address = symbol.address() & !thumb_bit;
        let end = match symbol.size() {
            0 => section.address().saturating_add(section.size()),
            size_bytes => address.saturating_add(size_bytes),
        };
        Some(Entry { address, end, name_offset, name_len: name.len(), rank: rank(&symbol) })
    };
    symbols.filter_map(entry).take(MAX_SYMBOLS).collect()
}

fn is_function(
    object: &object::File<'_>,
    symbol: &object::Symbol<'_, '_>,
    section: SectionKind,
) -> bool {
    match symbol.kind() {
        SymbolKind::Text => true,
        // Labels of assembly code have no type.
        SymbolKind::Unknown => section == SectionKind::Text,
        SymbolKind::Data | SymbolKind::Label => {
            section == SectionKind::Text && object.format() == object::BinaryFormat::Pe
        }
        _ => false,
    }
}

/// Not ARM's mapping symbols (`$x`), nor assembler labels, nor COFF's section names.
fn is_name(name: &[u8]) -> bool {
    let is_no_name = [&b"$"[..], b".L", b".text"].iter().any(|prefix| name.starts_with(prefix));
    !name.is_empty() && !is_no_name
}

/// Global and weak before local (`getc` is weak, and `_IO_getc` the same function), typed before
/// untyped, sized before unsized.
fn rank(symbol: &object::Symbol<'_, '_>) -> u8 {
    let binding = if symbol.is_global() || symbol.is_weak() { 0 } else { 2 };
    let untyped = if symbol.kind() == SymbolKind::Text { 0 } else { 4 };
    let unsized_ = if symbol.size() > 0 { 0 } else { RANK_UNSIZED };
    binding | untyped | unsized_
}

/// A symbol without size ends where the next one starts.
fn close_open_ends(entries: &mut [Entry]) {
    let mut next_address = u64::MAX;
    for entry in entries.iter_mut().rev() {
        if entry.rank & RANK_UNSIZED != 0 {
            entry.end = entry.end.min(next_address);
        }
        next_address = entry.address;
    }
}
