//! The headers of a core of either class: which memory stands where in it, and its notes.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt as _;

use object::elf::{FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef};

use super::contexts::Machine;

/// Mappings that a process can have by far (`vm.max_map_count` is 65,530, in places 262,144).
const MAX_SEGMENTS: usize = 1 << 20;
const MAX_NOTES: usize = 1 << 18;
/// Of all notes together; no more than the file has.
const MAX_NOTE_BYTES: u64 = 256 << 20;

/// A mapping of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u64,
    /// Bytes of the mapping.
    pub(super) size: u64,
    /// Bytes of it that are in the file.
    pub(super) in_file: u64,
    pub(super) offset: u64,
    /// Bit 0 execute, bit 1 write, bit 2 read.
    pub(super) flags: u32,
}

impl Segment {
    pub(super) fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.start) < self.size
    }

    pub(super) fn is_writable(&self) -> bool {
        self.flags & 2 != 0
    }
}

/// A note of the kernel.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) kind: u32,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct ElfCore {
    pub(super) machine: Machine,
    /// Whether its words have 64 bits.
    pub(super) is_64_bit: bool,
    /// By address.
    pub(super) segments: Vec<Segment>,
    pub(super) notes: Vec<Note>,
}

/// The processor of a core, if it is one that is known here.
pub(super) fn machine_of(file: &File) -> Option<Machine> {
    let mut head = [0; 20];
    file.read_exact_at(&mut head, 0).ok()?;
    let [0x7f, b'E', b'L', b'F', class, 1, .., kind, 0, low, high] = head else { return None };
    // `e_type` `ET_CORE`; `e_machine` by its number.
    match (kind, u16::from_le_bytes([low, high]), class) {
        (4, 3, 1) => Some(Machine::I386),
        (4, 8, 1) => Some(Machine::Mips),
        (4, 40, 1) => Some(Machine::Arm),
        (4, 183, 2) => Some(Machine::Aarch64),
        _ => None,
    }
}

impl ElfCore {
    /// # Errors
    /// What is wrong with the headers.
    pub(super) fn read(file: &File) -> Result<Self, String> {
        let machine = machine_of(file).ok_or("not a core of a known processor")?;
        let reader = file.try_clone().map_err(|reason| reason.to_string())?;
        let cache = ReadCache::new(BufReader::new(reader));
        let mut core = Self { machine, is_64_bit: false, segments: Vec::new(), notes: Vec::new() };
        let read = match machine {
            Machine::Aarch64 => core.add_all::<FileHeader64<Endianness>, _>(&cache),
            _ => core.add_all::<FileHeader32<Endianness>, _>(&cache),
        };
        read.map_err(|reason| format!("the headers of the core: {reason}"))?;
        core.segments.sort_by_key(|segment| segment.start);
        Ok(core)
    }

    fn add_all<'d, H, R>(&mut self, data: R) -> object::read::Result<()>
    where
        H: FileHeader<Endian = Endianness>,
        R: ReadRef<'d>,
    {
        let header = H::parse(data)?;
        let endian = header.endian()?;
        self.is_64_bit = header.is_type_64();
        let end = data.len().unwrap_or(0);
        // Headers may point to the same notes again and again.
        let mut left = end.min(MAX_NOTE_BYTES);
        for entry in header.program_headers(endian, data)?.iter().take(MAX_SEGMENTS) {
            let (offset, in_file) = entry.file_range(endian);
            let start: u64 = entry.p_vaddr(endian).into();
            let size: u64 = entry.p_memsz(endian).into();
            if entry.p_type(endian) == PT_LOAD && start.checked_add(size.max(in_file)).is_some() {
                let in_file = in_file.min(end.saturating_sub(offset));
                let (size, flags) = (size.max(in_file), entry.p_flags(endian).0);
                self.segments.push(Segment { start, size, in_file, offset, flags });
            }
            // Notes that are cut give what stands before.
            let Ok(Some(mut notes)) = entry.notes(endian, data) else { continue };
            while let Ok(Some(note)) = notes.next() {
                let kind = note.n_type(endian).0;
                if !matches!(note.name(), b"CORE" | b"LINUX") {
                    continue;
                }
                let size = note.desc().len() as u64;
                if self.notes.len() >= MAX_NOTES || size > left {
                    break;
                }
                left = left.saturating_sub(size);
                self.notes.push(Note { kind, bytes: note.desc().to_vec() });
            }
        }
        Ok(())
    }

    /// The mapping that holds an address.
    pub(super) fn segment_at(&self, address: u64) -> Option<&Segment> {
        let behind = self.segments.partition_point(|segment| segment.start <= address);
        let segment = self.segments.get(behind.checked_sub(1)?)?;
        segment.holds(address).then_some(segment)
    }

    /// Exactly so many bytes of the process.
    pub(super) fn memory(&self, file: &File, address: u64, size: usize) -> Option<Vec<u8>> {
        let end = address.checked_add(u64::try_from(size).ok()?)?;
        let segment = self.segment_at(address)?;
        if end > segment.start.saturating_add(segment.in_file) {
            return None;
        }
        let at = segment.offset.checked_add(address.checked_sub(segment.start)?)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }
}
