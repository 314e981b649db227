//! What a file tells of itself that is not loaded: sections by their names, and symbols that are
//! not exported.
//!
//! | offset | size | type | field (ELF64 header) |
//! |---|---|---|---|
//! | 40 | 8 | u64 | e_shoff |
//! | 58 | 2 | u16 | e_shentsize, 64 |
//! | 60 | 2 | u16 | e_shnum |
//! | 62 | 2 | u16 | e_shstrndx |
//!
//! A section header: `u32` name, `u32` type, `u64` flags, addr, offset, size, `u32` link, `u32` info,
//! `u64` addralign, entsize. A symbol: `u32` name, `u8` info, `u8` other, `u16` section, `u64` value,
//! `u64` size.
//!
//! Source: System V ABI, chapter 4, "Sections" and "Symbol Table".

use std::rc::Rc;

use lastwords_format::Reader;

use super::reach::PaidFile;
use super::text::Needle;

const HEADER_SIZE: usize = 64;
const SECTION_HEADER_SIZE: u16 = 64;
const MOST_SECTIONS: u16 = 4096;
const MOST_NAME_BYTES: u64 = 1024 * 1024;
/// Symbols of a program of some gigabytes.
const MOST_TABLE_BYTES: u64 = 64 * 1024 * 1024;
const SYMBOL_SIZE: usize = 24;
const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

/// The section headers of a file.
pub(super) struct Sections {
    file: Rc<PaidFile>,
    /// Where the image begins in the file.
    start: u64,
    sections: Vec<Section>,
    names: u16,
}

impl Sections {
    /// `None` when the file has none, or they are damaged.
    pub(super) fn read(file: &Rc<PaidFile>, start: u64) -> Option<Self> {
        let header = file.bytes(start, HEADER_SIZE)?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let mut reader = Reader::new(header.get(40..)?);
        let table = reader.u64("e_shoff").ok()?;
        reader.take(10, "e_flags to e_phnum").ok()?;
        let (size, count) = (reader.u16("e_shentsize").ok()?, reader.u16("e_shnum").ok()?);
        let names = reader.u16("e_shstrndx").ok()?;
        if size != SECTION_HEADER_SIZE || count > MOST_SECTIONS || table == 0 {
            return None;
        }
        let length = usize::from(size).checked_mul(usize::from(count))?;
        let headers = file.bytes(start.checked_add(table)?, length)?;
        let sections = headers.chunks_exact(usize::from(size)).filter_map(section).collect();
        Some(Self { file: Rc::clone(file), start, sections, names })
    }

    /// Address of the section with this name, as the linker chose it.
    pub(super) fn address(&self, name: &[u8]) -> Option<u64> {
        let names = self.content(self.sections.get(usize::from(self.names))?, MOST_NAME_BYTES)?;
        let is_it = |section: &&Section| {
            let text = usize::try_from(section.name).ok().and_then(|at| names.get(at..));
            text.and_then(|text| text.split(|byte| *byte == 0).next()) == Some(name)
        };
        self.sections.iter().find(is_it).map(|section| section.address)
    }

    /// Address of the symbol with this name, as the linker chose it; also one that only the dynamic
    /// linker knows.
    pub(super) fn symbol(&self, name: &str) -> Option<u64> {
        let tables = [SHT_SYMTAB, SHT_DYNSYM].into_iter();
        tables
            .flat_map(|kind| self.sections.iter().filter(move |section| section.kind == kind))
            .find_map(|table| self.symbol_of(table, name))
    }

    fn symbol_of(&self, table: &Section, name: &str) -> Option<u64> {
        let strings = self.sections.get(usize::try_from(table.link).ok()?)?;
        let strings = self.content(strings, MOST_TABLE_BYTES)?;
        let text = [name.as_bytes(), b"\0"].concat();
        // Linkers let names that end alike share their end, so it may stand anywhere.
        let needle = Needle::new(&text);
        let places: Vec<u32> =
            needle.find_all(&strings).filter_map(|at| u32::try_from(at).ok()).take(64).collect();
        if places.is_empty() {
            return None;
        }
        let symbols = self.content(table, MOST_TABLE_BYTES)?;
        symbols.chunks_exact(SYMBOL_SIZE).find_map(|symbol| defined(symbol, &places))
    }

    fn content(&self, section: &Section, most: u64) -> Option<Vec<u8>> {
        let size = usize::try_from(section.size).ok().filter(|_| section.size <= most)?;
        self.file.bytes(self.start.checked_add(section.offset)?, size)
    }
}

fn section(header: &[u8]) -> Option<Section> {
    let mut reader = Reader::new(header);
    let (name, kind) = (reader.u32("sh_name").ok()?, reader.u32("sh_type").ok()?);
    reader.u64("sh_flags").ok()?;
    Some(Section {
        name,
        kind,
        address: reader.u64("sh_addr").ok()?,
        offset: reader.u64("sh_offset").ok()?,
        size: reader.u64("sh_size").ok()?,
        link: reader.u32("sh_link").ok()?,
    })
}

/// Value of a symbol that has one of these names and is defined.
fn defined(symbol: &[u8], names: &[u32]) -> Option<u64> {
    let mut reader = Reader::new(symbol);
    let name = reader.u32("st_name").ok()?;
    if !names.contains(&name) {
        return None;
    }
    reader.take(2, "st_info, st_other").ok()?;
    let section = reader.u16("st_shndx").ok()?;
    reader.u64("st_value").ok().filter(|_| section != 0)
}
