//! A loaded module as its own dynamic section tells, every address checked against its segments.
//!
//! `Elf64_Dyn`: i64 tag, u64 value. `Elf64_Rela`: u64 offset, u32 type, u32 symbol, i64 addend.
//! `Elf64_Sym`: u32 name, u8 info, u8 other, u16 section (0 = imported), u64 value, u64 size
//! (System V ABI, chapter 5).

use std::ffi::CStr;

use libc::{PT_DYNAMIC, PT_GNU_RELRO, dl_phdr_info};

use super::segments::Segments;

const DT_NULL: u64 = 0;
const DT_PLTRELSZ: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_STRSZ: u64 = 10;
const DT_JMPREL: u64 = 23;
const DT_RELACOUNT: u64 = 0x6fff_fff9;
const MOST_DYNAMIC: usize = 512;
const RELA_SIZE: usize = 24;
const SYMBOL_SIZE: usize = 24;

/// `R_X86_64_GLOB_DAT`.
const GLOB_DAT: u32 = 6;
/// `R_X86_64_JUMP_SLOT`.
pub(super) const JUMP_SLOT: u32 = 7;
const STB_WEAK: u8 = 2;
const STT_FUNC: u8 = 2;

/// A loaded module, while the dynamic linker keeps it from being unloaded.
pub(crate) struct Module<'a> {
    base: usize,
    segments: Segments<'a>,
    tables: Tables,
}

#[derive(Default, Clone, Copy)]
struct Tables {
    symbols: usize,
    strings: usize,
    strings_size: usize,
    plt: usize,
    plt_size: usize,
    rela: usize,
    rela_size: usize,
    relative_count: usize,
}

/// One slot that the dynamic linker fills with the address of a symbol.
pub(super) struct Import {
    /// Address of the slot, checked to lie in a segment of the module.
    pub(super) slot: usize,
    /// `JUMP_SLOT` or `GLOB_DAT`.
    pub(super) kind: u32,
    /// May stay without a definition.
    pub(super) is_weak: bool,
    /// Where the module itself defines the symbol; 0 = it does not.
    pub(super) definition: usize,
    /// The linkage stub that stands for the function's address; 0 = none.
    pub(super) stub: usize,
    name: usize,
    name_room: usize,
}

impl Import {
    /// Whether the symbol is called so.
    pub(super) fn is_called(&self, name: &CStr) -> bool {
        let wanted = name.to_bytes_with_nul();
        if wanted.len() > self.name_room {
            return false;
        }
        let pointer = std::ptr::with_exposed_provenance::<u8>(self.name);
        // SAFETY: `name_room` bytes from `name` lie in a readable segment of a loaded module.
        let found = unsafe { std::slice::from_raw_parts(pointer, wanted.len()) };
        found == wanted
    }

    /// The first bytes of the name, for a quick comparison; `None` near the end of the table.
    pub(super) fn head(&self) -> Option<u64> {
        let pointer = std::ptr::with_exposed_provenance::<[u8; 8]>(self.name);
        // SAFETY: eight bytes are there.
        (self.name_room >= 8).then(|| u64::from_ne_bytes(unsafe { pointer.read_unaligned() }))
    }
}

/// Reads a value that was checked to lie in a segment.
///
/// # Safety
/// `address` lies, with the whole of `T`, in a readable segment; every bit pattern is a `T`.
unsafe fn read<T: Copy>(address: usize) -> T {
    // SAFETY: as promised by the caller.
    unsafe { std::ptr::with_exposed_provenance::<T>(address).read_unaligned() }
}

impl<'a> Module<'a> {
    /// The module that the dynamic linker describes; `None` when it has no dynamic section that
    /// makes sense.
    ///
    /// # Safety
    /// `info` is what `dl_iterate_phdr` gives its callback, and this runs inside that callback.
    pub(super) unsafe fn new(info: &'a dl_phdr_info) -> Option<Self> {
        if info.dlpi_phdr.is_null() {
            return None;
        }
        // SAFETY: the dynamic linker keeps the program headers of a listed module.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let base = usize::try_from(info.dlpi_addr).ok()?;
        // SAFETY: as promised by the caller.
        unsafe { Self::of(Segments { base, headers }) }
    }

    /// The module in these segments; `None` when it has no dynamic section that makes sense.
    ///
    /// # Safety
    /// It stays loaded for `'a`.
    pub(crate) unsafe fn of(segments: Segments<'a>) -> Option<Self> {
        let mut module = Self { base: segments.base, segments, tables: Tables::default() };
        module.tables = module.read_tables()?;
        Some(module)
    }

    fn room(&self, address: usize) -> usize {
        self.segments.room(address)
    }

    /// The module's memory.
    pub(crate) fn segments(&self) -> Segments<'a> {
        self.segments
    }

    /// Whether an address lies in the module.
    pub(crate) fn holds(&self, address: usize) -> bool {
        self.room(address) > 0
    }

    /// Whether a slot's value is an address of the module's file that was not moved yet.
    pub(crate) fn holds_unrelocated(&self, value: usize) -> bool {
        value < self.base && self.holds(self.base.wrapping_add(value))
    }

    /// Whether the header says that the address is read-only once the module is relocated.
    pub(super) fn is_relro(&self, address: usize, page_size: usize) -> bool {
        let relro = self.segments.headers.iter().filter(|segment| segment.p_type == PT_GNU_RELRO);
        // The dynamic linker protects whole pages only (glibc, `_dl_protect_relro`).
        let pages = |(start, end): (usize, usize)| {
            let mask = page_size.saturating_sub(1);
            (start & !mask)..(end & !mask)
        };
        let mut pages = relro.filter_map(|segment| self.segments.bounds(segment)).map(pages);
        pages.any(|pages| pages.contains(&address))
    }

    fn read_tables(&self) -> Option<Tables> {
        let dynamic = self.segments.headers.iter().find(|segment| segment.p_type == PT_DYNAMIC)?;
        let (start, end) = self.segments.bounds(dynamic)?;
        let room = self.room(start).min(end.saturating_sub(start));
        let mut tables = Tables::default();
        for index in 0..room.checked_div(16)?.min(MOST_DYNAMIC) {
            let entry = start.checked_add(index.checked_mul(16)?)?;
            // SAFETY: the entry lies in the segment, see `room`.
            let [tag, value]: [u64; 2] = unsafe { read(entry) };
            let value = usize::try_from(value).ok()?;
            match tag {
                DT_NULL => break,
                DT_SYMTAB => tables.symbols = self.absolute(value),
                DT_STRTAB => tables.strings = self.absolute(value),
                DT_STRSZ => tables.strings_size = value,
                DT_JMPREL => tables.plt = self.absolute(value),
                DT_PLTRELSZ => tables.plt_size = value,
                DT_RELA => tables.rela = self.absolute(value),
                DT_RELASZ => tables.rela_size = value,
                DT_RELACOUNT => tables.relative_count = value,
                _ => {}
            }
        }
        tables.strings_size = tables.strings_size.min(self.room(tables.strings));
        tables.plt_size = tables.plt_size.min(self.room(tables.plt));
        tables.rela_size = tables.rela_size.min(self.room(tables.rela));
        (self.room(tables.symbols) > 0 && tables.strings_size > 0).then_some(tables)
    }

    /// glibc has added the base to the addresses in the section; musl, and the vDSO, have not.
    fn absolute(&self, value: usize) -> usize {
        if value < self.base { self.base.wrapping_add(value) } else { value }
    }

    /// The slots of imported symbols, those of the procedure linkage table first.
    pub(super) fn imports(&self) -> impl Iterator<Item = Import> + '_ {
        let Tables { plt, plt_size, rela, rela_size, relative_count, .. } = self.tables;
        let relative = relative_count.saturating_mul(RELA_SIZE).min(rela_size);
        let table = |start: usize, size: usize| {
            let count = size.checked_div(RELA_SIZE).unwrap_or(0);
            (0..count).map(move |index| start.saturating_add(index.saturating_mul(RELA_SIZE)))
        };
        let rest = table(rela.saturating_add(relative), rela_size.saturating_sub(relative));
        let symbols_end = self.tables.symbols.saturating_add(self.room(self.tables.symbols));
        table(plt, plt_size).chain(rest).filter_map(move |at| self.import(at, symbols_end))
    }

    fn import(&self, relocation: usize, symbols_end: usize) -> Option<Import> {
        // SAFETY: both tables were cut to the segments that hold them.
        let [offset, info, _]: [u64; 3] = unsafe { read(relocation) };
        let kind = u32::try_from(info & 0xffff_ffff).ok()?;
        if kind != JUMP_SLOT && kind != GLOB_DAT {
            return None;
        }
        let index = usize::try_from(info >> 32).ok()?;
        let symbol = self.tables.symbols.checked_add(index.checked_mul(SYMBOL_SIZE)?)?;
        if symbol.checked_add(SYMBOL_SIZE)? > symbols_end {
            return None;
        }
        // SAFETY: checked on the line before.
        let (head, value): ([u8; 8], u64) = unsafe { (read(symbol), read(symbol.checked_add(8)?)) };
        let [n0, n1, n2, n3, info, _, s0, s1] = head;
        let name = usize::try_from(u32::from_ne_bytes([n0, n1, n2, n3])).ok()?;
        let name_room = self.tables.strings_size.checked_sub(name)?;
        let slot = self.base.wrapping_add(usize::try_from(offset).ok()?);
        let value = usize::try_from(value).ok().filter(|value| *value != 0);
        let address = value.map_or(0, |value| self.base.wrapping_add(value));
        let is_defined = [s0, s1] != [0, 0];
        Some(Import {
            slot,
            kind,
            is_weak: info >> 4 == STB_WEAK,
            definition: if is_defined { address } else { 0 },
            stub: if is_defined { 0 } else { address },
            name: self.tables.strings.checked_add(name)?,
            name_room,
        })
    }

    /// Whether an aligned slot at this address lies in the module.
    pub(crate) fn holds_slot(&self, slot: usize) -> bool {
        self.room(slot) >= size_of::<usize>() && slot.is_multiple_of(align_of::<usize>())
    }

    /// The exported function that holds an address, and where it starts. Costs a walk over the
    /// symbols.
    pub(crate) fn function_at(&self, address: usize) -> Option<(&'a CStr, usize)> {
        let Tables { symbols, strings, .. } = self.tables;
        // The table has no length of its own; linkers put the strings behind it.
        let size = self.room(symbols).min(strings.checked_sub(symbols)?);
        let table = (0..size.checked_div(SYMBOL_SIZE)?).map(|index| {
            let at = symbols.wrapping_add(index.wrapping_mul(SYMBOL_SIZE));
            // SAFETY: the entry lies in the table's segment, see `room`.
            unsafe { read::<[u64; 3]>(at) }
        });
        let found = table.into_iter().find_map(|[head, value, size]| {
            let [n0, n1, n2, n3, info, _, s0, s1] = head.to_ne_bytes();
            let start = self.base.wrapping_add(usize::try_from(value).ok()?);
            let is_function = info & 0xf == STT_FUNC && [s0, s1] != [0, 0];
            let is_inside = address.wrapping_sub(start) < usize::try_from(size).ok()?;
            (is_function && is_inside).then_some((u32::from_ne_bytes([n0, n1, n2, n3]), start))
        });
        let (name, start) = found?;
        let name = usize::try_from(name).ok()?;
        let room = self.tables.strings_size.checked_sub(name)?;
        let pointer = std::ptr::with_exposed_provenance::<u8>(strings.checked_add(name)?);
        // SAFETY: so many bytes of the string table lie in a readable segment.
        let bytes = unsafe { std::slice::from_raw_parts(pointer, room) };
        CStr::from_bytes_until_nul(bytes).ok().map(|name| (name, start))
    }

    /// Whether the module imports a symbol. Costs a walk over all its slots.
    pub(crate) fn imports_symbol(&self, name: &CStr) -> bool {
        self.imports().any(|import| import.is_called(name))
    }
}
