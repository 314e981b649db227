//! What the dynamic linker tells debuggers: the list of its libraries, made anew where a dump leaves it
//! out.
//!
//! A debugger finds `r_debug` by the entry `DT_DEBUG` (21) of the program's dynamic section, and there
//! the list: `r_debug`: 0 `i32` version, 8 `u64` list, 16 breakpoint, 24 `i32` state, 32 base of the linker.
//! `link_map`: `u64` each: 0 load bias, 8 name, 16 dynamic section, 24 next, 32 previous. The stream
//! `LinuxDsoDebug` (0x4767000A, `lastwords_format::streams::linux_dso_debug`) has all of it but the
//! addresses, which are given here, behind everything else in the address space.
//!
//! Source: glibc, `elf/link.h`; Breakpad, `minidump_format.h`.

use std::borrow::Cow;
use std::collections::HashSet;

use lastwords_format::{Reader, Writer};

use crate::memory::{Memory, Piece, size};

const DT_DEBUG: u64 = 21;
const DYNAMIC_ENTRY_BYTES: usize = 16;
const DEBUG_BYTES: u64 = 40;
const MAP_BYTES: u64 = 40;
/// Of the stream's list.
const ENTRY_BYTES: usize = 20;
const MAX_LIBRARIES: usize = 16_384;
const MAX_NAME_BYTES: usize = 4096;
const PAGE_BYTES: u64 = 4096;

/// The stream, read.
pub(crate) struct Rendezvous {
    version: u32,
    breakpoint: u64,
    base: u64,
    dynamic: u64,
    dynamic_bytes: Vec<u8>,
    libraries: Vec<Library>,
}

struct Library {
    bias: u64,
    name: String,
    dynamic: u64,
}

impl Rendezvous {
    /// Reads the stream; `read` gives bytes of the dump's file.
    ///
    /// Breakpad's writers up to 2014 had its structures as compilers lay them out: 4 bytes of padding
    /// before the first address, and after the name of a library (the corpus' `linux_*.dmp`).
    pub(crate) fn read(
        stream: &[u8],
        read: &dyn Fn(usize, usize) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        // The low half of a breakpoint's address is not 0.
        let padding = if stream.get(12..16) == Some(&[0; 4]) { 4 } else { 0 };
        Self::read_layout(stream, read, padding)
    }

    fn read_layout(
        stream: &[u8],
        read: &dyn Fn(usize, usize) -> Option<Vec<u8>>,
        padding: usize,
    ) -> Option<Self> {
        let mut reader = Reader::new(stream);
        let version = reader.u32("version").ok()?;
        let map = usize::try_from(reader.u32("map").ok()?).ok()?;
        let count = usize::try_from(reader.u32("count").ok()?).ok()?.min(MAX_LIBRARIES);
        reader.take(padding, "padding").ok()?;
        let breakpoint = reader.u64("brk").ok()?;
        let base = reader.u64("ldbase").ok()?;
        let dynamic = reader.u64("dynamic").ok()?;
        let dynamic_bytes = stream.get(reader.offset()..)?.to_vec();
        let entry_bytes = ENTRY_BYTES.checked_add(padding)?;
        let entries = read(map, count.checked_mul(entry_bytes)?)?;
        let mut entries = Reader::new(&entries);
        let mut libraries = Vec::new();
        for _ in 0..count {
            let bias = entries.u64("addr").ok()?;
            let name = usize::try_from(entries.u32("name").ok()?).ok()?;
            entries.take(padding, "padding").ok()?;
            let dynamic = entries.u64("ld").ok()?;
            libraries.push(Library { bias, name: string_at(read, name)?, dynamic });
        }
        Some(Self { version, breakpoint, base, dynamic, dynamic_bytes, libraries })
    }

    /// Whether a debugger finds the list in the dump's own memory.
    pub(crate) fn is_in(&self, memory: &Memory<'_>) -> bool {
        self.walk(memory).is_some()
    }

    fn walk(&self, memory: &Memory<'_>) -> Option<()> {
        let entries = self.dynamic_bytes.chunks_exact(DYNAMIC_ENTRY_BYTES);
        let position = entries.clone().position(|entry| word(entry, 0) == Some(DT_DEBUG))?;
        let offset = size(position).checked_mul(size(DYNAMIC_ENTRY_BYTES))?.checked_add(8)?;
        let debug = memory.word(self.dynamic.checked_add(offset)?)?;
        let mut at = memory.word(debug.checked_add(8)?)?;
        let mut seen = HashSet::new();
        while at != 0 && seen.len() < MAX_LIBRARIES {
            if !seen.insert(at) {
                return None;
            }
            memory.read(memory.word(at.checked_add(8)?)?, 1)?;
            at = memory.word(at.checked_add(24)?)?;
        }
        (seen.len() >= self.libraries.len()).then_some(())
    }

    /// The list at addresses from `start` on, and the dynamic section that leads to it.
    pub(crate) fn pieces(&self, start: u64) -> Option<Vec<Piece<'static>>> {
        let start = start.checked_next_multiple_of(PAGE_BYTES)?;
        let maps = start.checked_add(DEBUG_BYTES)?;
        let count = size(self.libraries.len());
        let names = maps.checked_add(count.checked_mul(MAP_BYTES)?)?;
        let first = if count == 0 { 0 } else { maps };
        let mut out = Writer::new();
        out.u32(self.version).u32(0).u64(first).u64(self.breakpoint).u64(0).u64(self.base);
        let mut name = names;
        let mut texts = Writer::new();
        for (index, library) in (0u64..).zip(&self.libraries) {
            let at = maps.checked_add(index.checked_mul(MAP_BYTES)?)?;
            let next = at.checked_add(MAP_BYTES).filter(|next| *next < names).unwrap_or(0);
            let previous = at.checked_sub(MAP_BYTES).filter(|previous| *previous >= maps);
            out.u64(library.bias).u64(name).u64(library.dynamic);
            out.u64(next).u64(previous.unwrap_or(0));
            texts.raw(library.name.as_bytes()).u8(0);
            name = name.checked_add(size(library.name.len()))?.checked_add(1)?;
        }
        out.raw(&texts.into_bytes());
        let list = Piece { address: start, bytes: Cow::Owned(out.into_bytes()) };
        let dynamic = Piece { address: self.dynamic, bytes: Cow::Owned(self.patched(start)) };
        Some(vec![list, dynamic])
    }

    /// The dynamic section with `DT_DEBUG` leading to `debug`.
    fn patched(&self, debug: u64) -> Vec<u8> {
        let mut out = Writer::new();
        for entry in self.dynamic_bytes.chunks(DYNAMIC_ENTRY_BYTES) {
            match word(entry, 0) {
                Some(DT_DEBUG) => out.u64(DT_DEBUG).u64(debug),
                _ => out.raw(entry),
            };
        }
        out.into_bytes()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Reader::new(bytes.get(at..)?).u64("word").ok()
}

/// A `MINIDUMP_STRING`: `u32` bytes, then UTF-16.
fn string_at(read: &dyn Fn(usize, usize) -> Option<Vec<u8>>, rva: usize) -> Option<String> {
    let length = Reader::new(&read(rva, 4)?).u32("length").ok()?;
    let length = usize::try_from(length).ok()?.min(MAX_NAME_BYTES.saturating_mul(2));
    let bytes = read(rva.checked_add(4)?, length)?;
    let unit = |pair: &[u8]| Some(u16::from_le_bytes(pair.try_into().ok()?));
    let units: Vec<u16> = bytes.chunks_exact(2).filter_map(unit).collect();
    Some(String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One library named "a" at bias 0x1000, in either layout.
    fn dump(padding: usize) -> (Vec<u8>, Vec<u8>) {
        let pad = vec![0u8; padding];
        let mut stream = Writer::new();
        stream.u32(1).u32(8).u32(1).raw(&pad).u64(0x10).u64(0x20).u64(0x30);
        stream.u64(DT_DEBUG).u64(0).u64(0).u64(0);
        let mut file = Writer::new();
        file.u64(0).u64(0x1000).u32(64).raw(&pad).u64(0x1234);
        let mut file = file.into_bytes();
        file.resize(64, 0);
        file.extend([2, 0, 0, 0, b'a', 0]);
        (stream.into_bytes(), file)
    }

    #[test]
    fn both_layouts_are_read_and_a_list_is_made_that_leads_to_all_libraries() {
        for padding in [0, 4] {
            let (stream, file) = dump(padding);
            let read = |at: usize, length: usize| {
                file.get(at..at.checked_add(length)?).map(<[u8]>::to_vec)
            };
            let found = Rendezvous::read(&stream, &read).unwrap();
            assert_eq!((found.breakpoint, found.base, found.dynamic), (0x10, 0x20, 0x30));
            assert_eq!(found.libraries[0].name, "a");
            assert!(!found.is_in(&Memory::default()));
            let memory = Memory::new(found.pieces(0x5001).unwrap());
            assert!(found.is_in(&memory), "padding {padding}");
            assert_eq!(memory.word(0x38), Some(0x6000), "DT_DEBUG leads to the list");
        }
    }
}
