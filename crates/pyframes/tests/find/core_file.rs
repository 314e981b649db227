//! A core file as the kernel writes it (core(5)), as far as the tests need it.
//!
//! A program header: `u32` type, `u32` flags, `u64` offset, vaddr, paddr, filesz, memsz, align. The note
//! `NT_FILE`: `u64` count, page size; count × `u64` start, end, offset in pages; count × name, 0.
#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing)]

use std::path::Path;

use lastwords_pyframes::find::Mapping;
use lastwords_pyframes::{Memory, MemoryError};

const NT_FILE: u32 = 0x4649_4C45;

pub struct CoreFile {
    bytes: Vec<u8>,
    pub mappings: Vec<Mapping>,
    /// Start, bytes that are there, where they stand in the file.
    parts: Vec<(u64, u64, u64)>,
}

impl CoreFile {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the core file can be read");
        let mut core = Self { bytes, mappings: Vec::new(), parts: Vec::new() };
        let (table, count) = (core.number(32, 8), core.number(56, 2));
        for header in (0..count).map(|index| table + 56 * index) {
            let field = |at: u64| core.number(header + at, 8);
            let (offset, start, there, size) = (field(8), field(16), field(32), field(40));
            match (core.number(header, 4), core.number(header + 4, 4)) {
                (1, flags) => {
                    core.parts.push((start, there, offset));
                    core.mappings.push(Mapping {
                        start,
                        end: start + size,
                        is_readable: flags & 4 != 0,
                        is_writable: flags & 2 != 0,
                        is_executable: flags & 1 != 0,
                        ..Mapping::default()
                    });
                }
                (4, _) => core.name_files(offset, offset + there),
                _ => {}
            }
        }
        core.note_files();
        core
    }

    fn number(&self, at: u64, width: u64) -> u64 {
        let range =
            usize::try_from(at).expect("small")..usize::try_from(at + width).expect("small");
        self.bytes[range].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Keeps the notes' list of files until all mappings are known.
    fn name_files(&mut self, start: u64, end: u64) {
        let mut at = start;
        while at + 12 <= end {
            let (name, size) = (self.number(at, 4), self.number(at + 4, 4));
            let content = at + 12 + name.next_multiple_of(4);
            if self.number(at + 8, 4) == u64::from(NT_FILE) {
                self.parts.push((u64::MAX, size, content));
            }
            at = content + size.next_multiple_of(4);
        }
    }

    fn note_files(&mut self) {
        let list = self.parts.iter().position(|(start, ..)| *start == u64::MAX);
        let (_, _, at) = self.parts.remove(list.expect("the kernel lists the files"));
        let (count, page) = (self.number(at, 8), self.number(at + 8, 8));
        let names = usize::try_from(at + 16 + 24 * count).expect("small");
        let names = self.bytes[names..].split(|byte| *byte == 0);
        let names: Vec<String> = names
            .take(usize::try_from(count).expect("small"))
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        for (index, name) in (0..count).zip(names) {
            let entry = at + 16 + 24 * index;
            let start = self.number(entry, 8);
            let offset = self.number(entry + 16, 8) * page;
            if let Some(mapping) = self.mappings.iter_mut().find(|m| m.start == start) {
                (mapping.path, mapping.offset, mapping.is_file) = (name, offset, true);
            }
        }
    }
}

impl Memory for CoreFile {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len() as u64;
        let holds = |(start, there, _): &&(u64, u64, u64)| {
            address >= *start && address.saturating_add(length) <= start + there
        };
        let part = self.parts.iter().find(holds);
        let part =
            part.ok_or_else(|| MemoryError::new(address, buffer.len(), "not in the core"))?;
        let at = usize::try_from(part.2 + address - part.0).expect("small");
        buffer.copy_from_slice(&self.bytes[at..at + buffer.len()]);
        Ok(())
    }
}
