//! The headers of an ELF core file: which memory stands where in it, and its notes.
//!
//! | offset | size | type | field (ELF64 header) |
//! |---|---|---|---|
//! | 0 | 4 | bytes | `\x7fELF` |
//! | 4 | 1 | u8 | class, 2 = 64 bit |
//! | 5 | 1 | u8 | data, 1 = little-endian |
//! | 16 | 2 | u16 | e_type, 4 = `ET_CORE` |
//! | 18 | 2 | u16 | e_machine, 62 = x86-64 |
//! | 32 | 8 | u64 | e_phoff |
//! | 40 | 8 | u64 | e_shoff |
//! | 54 | 2 | u16 | e_phentsize, 56 |
//! | 56 | 2 | u16 | e_phnum; 0xFFFF: the number stands in `sh_info` of the first section header |
//!
//! A program header: `u32` type, `u32` flags, `u64` offset, vaddr, paddr, filesz, memsz, align. A
//! `PT_LOAD` tells a mapping; of its `memsz` bytes the first `filesz` are in the file. A `PT_NOTE`
//! holds the notes ([`super::notes`]).
//!
//! Source: System V ABI, chapters 4 and 5; core(5); Linux, `fs/binfmt_elf.c`, `elf_core_dump`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lastwords_format::Reader;

use crate::failure::Failure;

const ET_CORE: u16 = 4;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PN_XNUM: u16 = 0xFFFF;
const PROGRAM_HEADER_SIZE: usize = 56;
/// `sh_info` of a section header.
const SECTION_INFO: u64 = 44;
/// Mappings that a process can have by far (`vm.max_map_count` is 65,530, in places 262,144).
const MOST_HEADERS: u32 = 1 << 20;
const MOST_NOTE_BYTES: u64 = 256 * 1024 * 1024;

/// A mapping of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u64,
    /// Bytes of the mapping.
    pub(super) size: u64,
    /// Bytes of it that are in the file; no more than the file has.
    pub(super) in_file: u64,
    /// Where in the file.
    pub(super) offset: u64,
    /// Bit 0 execute, bit 1 write, bit 2 read.
    pub(super) flags: u32,
}

impl Segment {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// What the headers say.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) file: File,
    /// By address.
    pub(super) segments: Vec<Segment>,
    /// The bytes of all note segments.
    pub(super) notes: Vec<u8>,
}

/// Opens a core file and reads its headers and notes.
///
/// # Errors
/// Why it cannot be used, and what to do.
pub(super) fn open(path: &Path) -> Result<Headers, Failure> {
    let file = File::open(path).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => "dump_not_found",
            _ => "dump_not_readable",
        };
        Failure::new(code, format!("{}: {error}", path.display()), "check the path: ls -l FILE")
    })?;
    let malformed = |what: &str| {
        let message = format!("{}: {what}", path.display());
        Failure::new("dump_malformed", message, "is the file whole? eu-readelf -n FILE")
    };
    let header = bytes(&file, 0, 64).ok_or_else(|| malformed("the ELF header is cut"))?;
    check(&header).map_err(|what| malformed(&what))?;
    let table = program_headers(&file, &header);
    let table = table.ok_or_else(|| malformed("the program headers cannot be read"))?;
    let mut headers = Headers { file, segments: Vec::new(), notes: Vec::new() };
    for entry in table.chunks_exact(PROGRAM_HEADER_SIZE) {
        headers.add(entry);
    }
    headers.segments.sort_by_key(|segment| segment.start);
    Ok(headers)
}

fn check(header: &[u8]) -> Result<(), String> {
    if !header.starts_with(b"\x7fELF") {
        return Err("this is no ELF file; expected a core file".to_owned());
    }
    let kind = half(header, 16);
    if kind != Some(ET_CORE) {
        return Err(format!("e_type is {}, expected 4 (a core file)", kind.unwrap_or(0)));
    }
    let (class, data, machine) = (header.get(4), header.get(5), half(header, 18));
    if (class, data, machine) != (Some(&2), Some(&1), Some(EM_X86_64)) {
        let machine = machine.unwrap_or(0);
        return Err(format!("e_machine is {machine}; cores of x86-64 (62) can be read"));
    }
    Ok(())
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Reader::new(bytes.get(at..)?).u16("half").ok()
}

fn bytes(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

/// The whole table, or as much of it as the file holds.
fn program_headers(file: &File, header: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(header.get(32..)?);
    let table = reader.u64("e_phoff").ok()?;
    let sections = reader.u64("e_shoff").ok()?;
    let entry_size = half(header, 54)?;
    let count = match half(header, 56)? {
        PN_XNUM => {
            let info = bytes(file, sections.checked_add(SECTION_INFO)?, 4)?;
            Reader::new(&info).u32("sh_info").ok()?
        }
        count => count.into(),
    };
    if usize::from(entry_size) != PROGRAM_HEADER_SIZE || count > MOST_HEADERS {
        return None;
    }
    let wanted = u64::from(count).checked_mul(u64::try_from(PROGRAM_HEADER_SIZE).ok()?)?;
    let there = file.metadata().ok()?.len().checked_sub(table)?;
    bytes(file, table, usize::try_from(wanted.min(there)).ok()?)
}

impl Headers {
    /// Bytes of the file from an offset on.
    fn behind(&self, offset: u64) -> Option<u64> {
        self.file.metadata().ok()?.len().checked_sub(offset)
    }

    /// One program header; one that says what cannot be is left out.
    fn add(&mut self, entry: &[u8]) -> Option<()> {
        let mut reader = Reader::new(entry);
        let (kind, flags) = (reader.u32("p_type").ok()?, reader.u32("p_flags").ok()?);
        let (offset, start) = (reader.u64("p_offset").ok()?, reader.u64("p_vaddr").ok()?);
        reader.u64("p_paddr").ok()?;
        let (in_file, size) = (reader.u64("p_filesz").ok()?, reader.u64("p_memsz").ok()?);
        start.checked_add(size.max(in_file))?;
        match kind {
            PT_LOAD => {
                let size = size.max(in_file);
                let in_file = in_file.min(self.behind(offset).unwrap_or(0));
                self.segments.push(Segment { start, size, in_file, offset, flags });
            }
            PT_NOTE => {
                let left = MOST_NOTE_BYTES.checked_sub(u64::try_from(self.notes.len()).ok()?)?;
                let there = self.behind(offset)?;
                let length = usize::try_from(in_file.min(left).min(there)).ok()?;
                self.notes.extend(bytes(&self.file, offset, length)?);
            }
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_as_long_as_the_file_at_most() {
        let path = std::env::temp_dir().join(format!("lastwords-cut-core-{}", std::process::id()));
        std::fs::write(&path, [0; 0x1800]).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut headers = Headers { file, segments: Vec::new(), notes: Vec::new() };
        for (offset, in_file) in [(0x1000, 1 << 56), (0x1000, 0x10), (0x9000, 0x1000)] {
            let mut entry = [PT_LOAD.to_le_bytes(), 7_u32.to_le_bytes()].concat();
            for word in [offset, 0x40_0000, 0, in_file, 0x2000_u64, 0x1000] {
                entry.extend(word.to_le_bytes());
            }
            headers.add(&entry).unwrap();
        }
        let in_file: Vec<u64> = headers.segments.iter().map(|segment| segment.in_file).collect();
        assert_eq!(in_file, [0x800, 0x10, 0]);
    }
}
