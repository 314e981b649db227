//! What readers and the writer of ELF cores share: types of notes, and the list of mapped files.
//!
//! `NT_FILE`, each number as wide as an address of the process: count, page size; of each mapping
//! start, end, offset in pages; then the paths in the same order, each with a NUL behind it.
//!
//! Source: core(5); Linux, `include/uapi/linux/elf.h`, `fs/binfmt_elf.c`, `fill_files_note`.

use crate::Reader;

/// A thread.
pub const NT_PRSTATUS: u32 = 1;
/// Floating-point registers of the thread before.
pub const NT_FPREGSET: u32 = 2;
/// The process.
pub const NT_PRPSINFO: u32 = 3;
/// The auxiliary vector.
pub const NT_AUXV: u32 = 6;
/// Mapped files.
pub const NT_FILE: u32 = 0x4649_4C45;
/// The signal.
pub const NT_SIGINFO: u32 = 0x5349_4749;
const MAX_FILES: u64 = 1 << 20;

/// A mapping of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedFile {
    /// First address.
    pub start: u64,
    /// Behind the last one.
    pub end: u64,
    /// In the file, bytes.
    pub offset: u64,
    /// Of the file.
    pub path: String,
}

/// Numbers as wide as an address, one behind the other, as far as they are whole.
#[derive(Debug, Clone)]
pub struct Numbers<'a> {
    reader: Reader<'a>,
    is_64_bit: bool,
}

impl<'a> Numbers<'a> {
    /// Of a process whose addresses have 64 bits, or 32.
    #[must_use]
    pub fn new(bytes: &'a [u8], is_64_bit: bool) -> Self {
        Self { reader: Reader::new(bytes), is_64_bit }
    }
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.is_64_bit {
            self.reader.u64("a number").ok()
        } else {
            self.reader.u32("a number").ok().map(u64::from)
        }
    }
}

/// The mappings of `NT_FILE`: as many as can be read, without those that are empty.
#[must_use]
pub fn mapped_files(bytes: &[u8], is_64_bit: bool) -> Vec<MappedFile> {
    let mut numbers = Numbers::new(bytes, is_64_bit);
    let (Some(count), Some(page)) = (numbers.next(), numbers.next()) else { return Vec::new() };
    let mut files = Vec::new();
    for _ in 0..count.min(MAX_FILES) {
        let (Some(start), Some(end), Some(pages)) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            break;
        };
        let offset = pages.saturating_mul(page);
        files.push(MappedFile { start, end, offset, path: String::new() });
    }
    let names = bytes.get(numbers.reader.offset()..).unwrap_or_default();
    for (file, name) in files.iter_mut().zip(names.split(|byte| *byte == 0)) {
        file.path = String::from_utf8_lossy(name).into_owned();
    }
    files.retain(|file| file.start < file.end);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_processes_of_32_and_64_bits_are_read() {
        let numbers = [2_u32, 4096, 0x1000, 0x3000, 0, 0x3000, 0x4000, 2];
        let wide: Vec<u8> = numbers.iter().flat_map(|n| u64::from(*n).to_le_bytes()).collect();
        let narrow: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        for (mut bytes, is_64_bit) in [(narrow, false), (wide, true)] {
            bytes.extend(b"/bin/a\0/lib/b.so\0");
            let found = mapped_files(&bytes, is_64_bit);
            let path = "/lib/b.so".to_owned();
            assert_eq!(found.len(), 2);
            assert_eq!(found[1], MappedFile { start: 0x3000, end: 0x4000, offset: 0x2000, path });
            for cut in 0..bytes.len() {
                assert!(mapped_files(&bytes[..cut], is_64_bit).len() <= 2);
            }
            bytes[..4].fill(0xff);
            assert!(mapped_files(&bytes, is_64_bit).len() < 10, "an absurd count");
        }
    }
}
