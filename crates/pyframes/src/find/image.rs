//! As much of a loaded ELF image as can be known from the process's memory.
//!
//! | offset | size | type | field (ELF64 header) |
//! |---|---|---|---|
//! | 0 | 4 | bytes | `\x7fELF` |
//! | 4 | 1 | u8 | class, 2 = 64 bit |
//! | 32 | 8 | u64 | e_phoff |
//! | 54 | 2 | u16 | e_phentsize, 56 |
//! | 56 | 2 | u16 | e_phnum |
//!
//! A program header: `u32` type, `u32` flags, `u64` offset, vaddr, paddr, filesz, memsz, align.
//!
//! Source: System V ABI, chapter 4 and 5; notes: `elf.h`, `NT_GNU_BUILD_ID`.

use std::ops::Range;

use crate::memory::Memory;
use lastwords_format::Reader;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PROGRAM_HEADER_SIZE: usize = 56;
const MOST_HEADERS: u16 = 256;
const MOST_NOTE_BYTES: u64 = 64 * 1024;
const NT_GNU_BUILD_ID: u32 = 3;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const HASHED_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    address: u64,
    memory_size: u64,
}

/// A loaded image.
#[derive(Debug)]
pub struct Image {
    /// Difference between addresses in the file and in memory.
    bias: u64,
    headers: Vec<ProgramHeader>,
}

impl Image {
    /// Reads the headers at `base`; `None` when no 64-bit ELF image starts there.
    #[must_use]
    pub fn read(memory: &dyn Memory, base: u64) -> Option<Self> {
        let mut start = [0; 64];
        memory.read(base, &mut start).ok()?;
        if !start.starts_with(b"\x7fELF\x02") {
            return None;
        }
        let mut reader = Reader::new(start.get(32..)?);
        let table = base.checked_add(reader.u64("e_phoff").ok()?)?;
        reader.take(14, "e_shoff to e_ehsize").ok()?;
        let entry_size = usize::from(reader.u16("e_phentsize").ok()?);
        let count = reader.u16("e_phnum").ok()?.min(MOST_HEADERS);
        if entry_size != PROGRAM_HEADER_SIZE {
            return None;
        }
        Self::from_table(memory, base, table, usize::from(count))
    }

    /// Reads a program header table of `count` entries at `table`.
    #[must_use]
    pub fn from_table(memory: &dyn Memory, base: u64, table: u64, count: usize) -> Option<Self> {
        let mut bytes =
            vec![0; count.min(usize::from(MOST_HEADERS)).checked_mul(PROGRAM_HEADER_SIZE)?];
        memory.read(table, &mut bytes).ok()?;
        let headers: Vec<ProgramHeader> =
            bytes.chunks_exact(PROGRAM_HEADER_SIZE).filter_map(parse_header).collect();
        let first = headers.iter().find(|header| header.kind == PT_LOAD)?;
        let bias = base.wrapping_sub(first.address & !0xFFF);
        Some(Self { bias, headers })
    }

    /// Where the loaded segments lie that the program may write to, in the order of the file.
    pub fn writable_segments(&self) -> impl Iterator<Item = Range<u64>> {
        let is_writable = |header: &&ProgramHeader| header.flags & PF_W != 0;
        self.loads().filter(is_writable).map(|header| {
            let start = self.loaded(header);
            start..start.saturating_add(header.memory_size)
        })
    }

    fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.headers.iter().filter(|header| header.kind == PT_LOAD)
    }

    fn loaded(&self, header: &ProgramHeader) -> u64 {
        self.bias.wrapping_add(header.address)
    }

    /// The GNU build id; `None` when there is none.
    #[must_use]
    pub fn build_id(&self, memory: &dyn Memory) -> Option<Vec<u8>> {
        let notes = self.headers.iter().filter(|header| header.kind == PT_NOTE);
        notes
            .filter_map(|header| {
                let size = header.memory_size.min(MOST_NOTE_BYTES);
                let mut bytes = vec![0; usize::try_from(size).ok()?];
                memory.read(self.loaded(header), &mut bytes).ok()?;
                find_build_id(&bytes)
            })
            .next()
    }

    /// What stands for a build id where there is none: 16-byte blocks of the first page of
    /// code, combined by XOR (as Breakpad's `FileID::HashElfTextSection`).
    #[must_use]
    pub fn text_hash(&self, memory: &dyn Memory) -> Option<Vec<u8>> {
        let code = self.loads().find(|header| header.flags & PF_X != 0)?;
        let size = usize::try_from(code.memory_size).ok()?.min(HASHED_BYTES);
        let mut bytes = vec![0; size];
        memory.read(self.loaded(code), &mut bytes).ok()?;
        let mut hash = vec![0_u8; 16];
        for block in bytes.chunks_exact(16) {
            hash.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
        }
        Some(hash)
    }

    /// Bytes from the image's start to the end of its last segment in memory.
    #[must_use]
    pub fn size(&self, base: u64) -> u64 {
        let ends =
            self.loads().map(|header| self.loaded(header).saturating_add(header.memory_size));
        let size = ends.max().unwrap_or(base).saturating_sub(base);
        size.checked_next_multiple_of(4096).unwrap_or(u64::MAX)
    }

    /// Difference between addresses in the file and in memory; wraps around.
    #[must_use]
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// Address and size of the dynamic section.
    #[must_use]
    pub fn dynamic(&self) -> Option<(u64, u64)> {
        let header = self.headers.iter().find(|header| header.kind == PT_DYNAMIC)?;
        Some((self.loaded(header), header.memory_size))
    }
}

fn parse_header(bytes: &[u8]) -> Option<ProgramHeader> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u32("p_type").ok()?;
    let flags = reader.u32("p_flags").ok()?;
    reader.u64("p_offset").ok()?;
    let address = reader.u64("p_vaddr").ok()?;
    reader.take(16, "p_paddr, p_filesz").ok()?;
    let memory_size = reader.u64("p_memsz").ok()?;
    Some(ProgramHeader { kind, flags, address, memory_size })
}

/// Looks through notes: `u32` name size, `u32` content size, `u32` type, name, content, each
/// padded to 4 bytes.
fn find_build_id(notes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(notes);
    loop {
        let name_size = usize::try_from(reader.u32("n_namesz").ok()?).ok()?;
        let content_size = usize::try_from(reader.u32("n_descsz").ok()?).ok()?;
        let kind = reader.u32("n_type").ok()?;
        let name = reader.take(name_size.checked_next_multiple_of(4)?, "name").ok()?;
        let content = reader.take(content_size.checked_next_multiple_of(4)?, "content").ok()?;
        if kind == NT_GNU_BUILD_ID && name.starts_with(b"GNU\0") && content_size <= 64 {
            return content.get(..content_size).map(<[u8]>::to_vec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = Vec::new();
        for (kind, name, content) in [(1_u32, b"GNU\0", vec![9; 5]), (3, b"GNU\0", vec![7; 20])] {
            notes.extend(4_u32.to_le_bytes());
            notes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(name);
            notes.extend(&content);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(find_build_id(&notes), Some(vec![7; 20]));
        assert_eq!(find_build_id(&notes[..20]), None);
    }
}
