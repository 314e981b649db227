//! `/proc/PID/maps` as dumps of Linux hold it, and the note of mapped files made of it.
//!
//! A line: `start-end permissions offset device inode path`. The note `NT_FILE`: `u64` count, page
//! size; count × (`u64` start, end, offset in pages); the names, each with a NUL. Source: proc(5),
//! Linux, `fs/binfmt_elf.c`, `fill_files_note`.

use lastwords_format::Writer;

const PAGE_BYTES: u64 = 4096;
const MAX_MAPS: usize = 1 << 20;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Bit 0 execute, bit 1 write, bit 2 read.
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    /// Empty for memory without a file.
    pub(crate) path: String,
}

/// Reads the text; lines that are something else are passed over.
pub(crate) fn parse(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(mapping).take(MAX_MAPS).collect()
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?.as_bytes();
    let offset = words.next()?;
    let path = words.nth(2).unwrap_or("").trim();
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let bit = |at: usize, letter: u8, bit: u32| {
        if permissions.get(at) == Some(&letter) { bit } else { 0 }
    };
    Some(Mapping {
        start: number(start)?,
        end: number(end)?,
        flags: bit(0, b'r', 4) | bit(1, b'w', 2) | bit(2, b'x', 1),
        offset: number(offset)?,
        path: path.to_owned(),
    })
}

/// The flags of the mapping that holds an address; readable and writable when it is not known.
pub(crate) fn flags_at(mappings: &[Mapping], address: u64) -> u32 {
    let behind = mappings.partition_point(|mapping| mapping.start <= address);
    let mapping = behind.checked_sub(1).and_then(|index| mappings.get(index));
    mapping.filter(|mapping| address < mapping.end).map_or(6, |mapping| mapping.flags)
}

/// The note's contents; `None` when no file is mapped.
pub(crate) fn file_note(mappings: &[Mapping]) -> Option<Vec<u8>> {
    let is_file = |mapping: &&Mapping| mapping.path.starts_with('/');
    let files: Vec<&Mapping> = mappings.iter().filter(is_file).collect();
    if files.is_empty() {
        return None;
    }
    let mut out = Writer::new();
    out.u64(u64::try_from(files.len()).ok()?).u64(PAGE_BYTES);
    for file in &files {
        out.u64(file.start).u64(file.end).u64(file.offset / PAGE_BYTES);
    }
    for file in &files {
        out.raw(file.path.as_bytes()).u8(0);
    }
    Some(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_read_with_blanks_in_paths() {
        let text = "7f00-7f10 r-xp 00002000 08:01 42                         /a b/c.so\nnonsense\n\
                    7f10-7f20 rw-p 00000000 00:00 0 \n";
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].path, "/a b/c.so");
        assert_eq!((found[0].flags, found[0].offset), (5, 0x2000));
        assert_eq!(flags_at(&found, 0x7f10), 6);
        assert_eq!(flags_at(&found, 0x7f0f), 5);
        assert_eq!(file_note(&found).unwrap().len(), 16 + 24 + 10);
    }
}
