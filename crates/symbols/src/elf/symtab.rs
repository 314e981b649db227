//! ELF symbol tables: address to function name.

use std::ops::Deref;
use std::sync::Arc;

use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{SectionKind, SymbolKind, SymbolSection};

use super::image::ElfImage;
use super::minidebug;
use crate::demangle::demangle;
use crate::file::MappedFile;

/// Symbols of one table beyond this are left out.
const MAX_SYMBOLS: usize = 16 << 20;

/// A function after the symbol tables.
pub(crate) struct NamedSymbol {
    /// As the linker knows it.
    name: String,
    /// In the file's own address space.
    pub(crate) address: u64,
}

impl NamedSymbol {
    pub(crate) fn is_mangled(&self) -> bool {
        self.name.starts_with("_Z") || self.name.starts_with("_R")
    }

    pub(crate) fn demangled(&self) -> String {
        demangle(&self.name).into_owned()
    }

    /// The name without the suffix of a compiler's clone (`.cold`, `.part.0`, `.constprop.1`).
    pub(crate) fn demangled_base(&self) -> String {
        let base = self.name.split_once('.').map_or(self.name.as_str(), |(base, _)| base);
        demangle(base).into_owned()
    }
}

/// The functions of one file, sorted by address. Names stay in the file.
pub(crate) struct SymbolTable {
    bytes: Bytes,
    entries: Vec<Entry>,
    /// Whether it is made of `.symtab`, which names every function.
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

#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    end: u64,
    name_offset: usize,
    name_len: usize,
    /// Lower is better among names of one address.
    rank: u8,
}

impl SymbolTable {
    /// The tables of one file: its own, and the one packed into `.gnu_debugdata`. Empty when
    /// none can be read.
    pub(crate) fn read_all(image: &ElfImage) -> Vec<Self> {
        let Ok(object) = image.object() else { return Vec::new() };
        let own = Self::read(&object, Bytes::File(image.file().clone()));
        let packed = minidebug::read(&object).and_then(|bytes| {
            let entries = Self::read_entries(&object::File::parse(&*bytes).ok()?, &bytes);
            Some(Self { bytes: Bytes::Unpacked(bytes), is_full: true, entries: entries.0 })
        });
        let tables = [Some(own), packed].into_iter().flatten();
        tables.filter(|table| !table.entries.is_empty()).collect()
    }

    fn read(object: &object::File<'_>, bytes: Bytes) -> Self {
        let (entries, is_full) = Self::read_entries(object, &bytes);
        Self { bytes, entries, is_full }
    }

    /// `.symtab`, or `.dynsym` where there is none; and whether it was the former.
    fn read_entries(object: &object::File<'_>, bytes: &[u8]) -> (Vec<Entry>, bool) {
        let full = collect(object, object.symbols(), bytes);
        let is_full = !full.is_empty();
        let mut entries =
            if is_full { full } else { collect(object, object.dynamic_symbols(), bytes) };
        entries.sort_unstable_by_key(|entry| (entry.address, entry.rank, entry.name_offset));
        entries.dedup_by_key(|entry| entry.address);
        close_open_ends(&mut entries);
        entries.shrink_to_fit();
        (entries, is_full)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The function whose code holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<NamedSymbol> {
        let after = self.entries.partition_point(|entry| entry.address <= address);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        if address >= entry.end {
            return None;
        }
        let end = entry.name_offset.checked_add(entry.name_len)?;
        let name = String::from_utf8_lossy(self.bytes.get(entry.name_offset..end)?);
        Some(NamedSymbol { name: name.into_owned(), address: entry.address })
    }
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
        let is_function = symbol.kind() == SymbolKind::Text;
        // Labels of assembly code have no type.
        let is_label = symbol.kind() == SymbolKind::Unknown && section.kind() == SectionKind::Text;
        if !is_function && !is_label {
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

/// Not ARM's mapping symbols (`$x`), nor assembler labels.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.starts_with(b"$") && !name.starts_with(b".L")
}

/// Global before weak before local, typed before untyped, sized before unsized.
fn rank(symbol: &object::Symbol<'_, '_>) -> u8 {
    let binding = match (symbol.is_global(), symbol.is_weak()) {
        (true, false) => 0,
        (_, true) => 1,
        (false, false) => 2,
    };
    let untyped = if symbol.kind() == SymbolKind::Text { 0 } else { 4 };
    let unsized_ = if symbol.size() > 0 { 0 } else { 8 };
    binding | untyped | unsized_
}

/// A symbol without size ends where the next one starts.
fn close_open_ends(entries: &mut [Entry]) {
    let mut next_address = u64::MAX;
    for entry in entries.iter_mut().rev() {
        if entry.rank & 8 != 0 {
            entry.end = entry.end.min(next_address);
        }
        next_address = entry.address;
    }
}
