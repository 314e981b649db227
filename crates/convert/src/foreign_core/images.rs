//! Images of ELF files in the memory of a core.
//!
//! Of `PT_DYNAMIC`: pairs of tag and value; `DT_STRTAB` (5) is an address, which the loader may have
//! made one of the process, `DT_SONAME` (14) an offset in the strings there.
//!
//! Source: System V ABI, chapters 4 and 5.

use lastwords_format::core_notes::Numbers;
use object::Endianness;
use object::elf::{
    FileHeader32, FileHeader64, NT_GNU_BUILD_ID, PT_DYNAMIC, PT_LOAD, PT_NOTE, ProgramType,
};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader as _};

/// The headers of an image; its first page is in most cores.
const HEAD_BYTES: usize = 4096;
/// Segments with notes, and bytes of each: the build id is among the first.
const MAX_NOTE_SEGMENTS: usize = 8;
const MAX_NOTE_BYTES: u64 = 4 << 10;
const MAX_DYNAMIC_BYTES: u64 = 64 << 10;
const MAX_NAME_BYTES: u64 = 255;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;

/// Reads exactly so many bytes of the process.
pub(super) type Memory<'m> = &'m dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// What the memory tells of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// Bytes in memory, by its program headers.
    pub(super) size: u64,
    pub(super) build_id: Vec<u8>,
    /// What a library calls itself.
    pub(super) name: Option<String>,
}

/// The image at `base`; `None` when none begins there.
pub(super) fn read(base: u64, memory: Memory<'_>) -> Option<Image> {
    let head = memory(base, HEAD_BYTES)?;
    match head.get(..5)? {
        [0x7f, b'E', b'L', b'F', 1] => read_as::<FileHeader32<Endianness>>(&head, base, memory),
        [0x7f, b'E', b'L', b'F', 2] => read_as::<FileHeader64<Endianness>>(&head, base, memory),
        _ => None,
    }
}

fn read_as<H: FileHeader<Endian = Endianness>>(
    head: &[u8],
    base: u64,
    memory: Memory<'_>,
) -> Option<Image> {
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let entries = header.program_headers(endian, head).ok()?;
    let ranges = entries.iter().map(|entry| {
        let (start, size): (u64, u64) =
            (entry.p_vaddr(endian).into(), entry.p_memsz(endian).into());
        (entry.p_type(endian), start, start.saturating_add(size))
    });
    let ranges: Vec<(ProgramType, u64, u64)> = ranges.collect();
    let of = |kind| ranges.iter().filter(move |(one, ..)| *one == kind);
    // The address at which the file wants to be.
    let wanted = of(PT_LOAD).map(|(_, start, _)| *start & !0xfff).min()?;
    let moved = |address: u64| base.wrapping_add(address.wrapping_sub(wanted));
    let bytes_of = |start: u64, end: u64, most: u64| {
        let length = usize::try_from(end.saturating_sub(start).min(most)).ok()?;
        memory(moved(start), length)
    };
    let notes = entries.iter().filter(|entry| entry.p_type(endian) == PT_NOTE);
    let build_ids = notes.take(MAX_NOTE_SEGMENTS).map(|entry| {
        let start: u64 = entry.p_vaddr(endian).into();
        let end = start.saturating_add(entry.p_memsz(endian).into());
        let bytes = bytes_of(start, end, MAX_NOTE_BYTES)?;
        build_id(NoteIterator::<H>::new(endian, entry.p_align(endian), &bytes).ok()?, endian)
    });
    let dynamic = of(PT_DYNAMIC).find_map(|(_, start, end)| {
        let bytes = bytes_of(*start, *end, MAX_DYNAMIC_BYTES)?;
        soname(&bytes, header.is_type_64(), base, &moved, memory)
    });
    Some(Image {
        size: of(PT_LOAD).map(|(.., end)| end.saturating_sub(wanted)).max()?,
        build_id: build_ids.flatten().next().unwrap_or_default(),
        name: dynamic,
    })
}

fn build_id<H: FileHeader>(mut notes: NoteIterator<'_, H>, endian: H::Endian) -> Option<Vec<u8>> {
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"GNU" && note.n_type(endian) == NT_GNU_BUILD_ID {
            return Some(note.desc().to_vec());
        }
    }
    None
}

fn soname(
    dynamic: &[u8],
    is_64_bit: bool,
    base: u64,
    moved: &dyn Fn(u64) -> u64,
    memory: Memory<'_>,
) -> Option<String> {
    let numbers: Vec<u64> = Numbers::new(dynamic, is_64_bit).collect();
    let value = |tag: u64| {
        let pairs = numbers.chunks_exact(2);
        pairs.filter(|pair| pair.first() == Some(&tag)).find_map(|pair| pair.get(1).copied())
    };
    let (strings, name) = (value(DT_STRTAB)?, value(DT_SONAME)?);
    let strings = if strings >= base { strings } else { moved(strings) };
    string(strings.checked_add(name)?, MAX_NAME_BYTES, memory)
}

/// The string at an address, which may be the last of its mapping; at most so many bytes.
pub(super) fn string(address: u64, most: u64, memory: Memory<'_>) -> Option<String> {
    let byte = |index: u64| memory(address.checked_add(index)?, 1)?.first().copied();
    let bytes: Vec<u8> = (0..most).map_while(byte).take_while(|b| *b != 0).collect();
    Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty())
}
