//! The file of one module in the symbol cache: what has been asked about addresses of the module,
//! and what was answered. It is no interface: another version of lastwords makes other files, and
//! a file may be removed at any time.
//!
//! The folder is `$LASTWORDS_CACHE_DIR`, else `$XDG_CACHE_HOME/lastwords/symbols`, else
//! `~/.cache/lastwords/symbols`. It is made with mode 0700, and is not used when it belongs to
//! another user or others may write into it. A file is called `ID-HASH.symbols`: the first 40
//! digits of the module's build id or debug id, and the 64-bit FNV-1a hash of its key. It is read
//! when its key is the one that is wanted, byte for byte: version of lastwords, revision of this
//! code, the module's names and ids (its path only where files of this machine may be opened), and
//! the list of symbol sources as it was given, with the current folder when one of them is
//! relative.
//!
//! A file holds while every path that the search for the module's files looked at is what it was
//! (`probes`): there or not, kind, size, inode, time of modification and of the last change, to
//! the nanosecond. Paths where nothing was count, so that a debug file which is installed later is
//! found. A search that went through all files of the sources depends on a fingerprint of all of
//! them, which takes a `stat` of each. What changed less than 50 ms before it was looked at (2 s
//! where time stamps have no nanoseconds), or could not be opened for want of memory or
//! descriptors, is not kept.
//!
//! A file is written under another name, then renamed, and takes over what is in its place. Of two
//! writers at the same moment the later one wins; what only the other one knew is found anew.
//! Limits: 2 MiB and 16,384 answers a module, 1,024 paths of a search, 1,024 modules of one run,
//! 256 MiB and 8,192 files in the folder, of which those that were not used for longest are
//! removed; a use is noted as the file's time of modification, once an hour.
//!
//! In it are names of functions, paths of sources, modules and symbol files, and which addresses of
//! code were asked about; nothing of a process's memory.
//!
//! Little-endian, unaligned, offsets from the start of the file:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 8 | bytes | magic | `LWSYMBOL` |
//! | 8 | 4 | u32 | version | 1 |
//! | 12 | 4 | u32 | checksum | CRC-32 (ISO-HDLC) of all bytes behind |
//! | 16 | 4 | u32 | size | of the file |
//! | 20 | 4 | u32 | flags | bit 0: the search went through the sources; bit 1: DWARF was judged |
//! | 24 | 8 | u64 | fingerprint | of all files of the sources; 0 without bit 0 |
//! | 32 | 8 × 8 | u32, u32 | sections | offset and size of each of the following, in this order |
//!
//! | section | entry | what |
//! |---|---|---|
//! | key | 1 | fields, each with its length (u64) before it |
//! | probes | 56 | see below |
//! | statuses | 24 | what became of the search, before DWARF was judged and after; see below |
//! | problems | 8 | what was wrong with the sources: string ids of path and message |
//! | entries | 24 | question (u32), 0 (u32), address above the module's base (u64), offset in `records` (u32), size (u32); sorted by question and address |
//! | records | 1 | answers, which entries may share |
//! | ends | 4 | end of each string in `strings`; the first one begins at 0 |
//! | strings | 1 | paths as the system has them, everything else UTF-8 |
//!
//! A string id (u32) counts from 0; `0xffff_ffff` is no string. A probe:
//!
//! | offset | size | type | field | meaning |
//! |---|---|---|---|---|
//! | 0 | 4 | u32 | path | string id |
//! | 4 | 4 | u32 | flags | bit 0: links are followed; bit 1: there is something, otherwise the rest is 0 |
//! | 8 | 4 | u32 | mode | kind and permissions |
//! | 12 | 4 | u32 | | 0 |
//! | 16 | 8 | u64 | size | in bytes |
//! | 24 | 8 | u64 | inode | |
//! | 32 | 12 | i64, u32 | modified | seconds since 1970, nanoseconds |
//! | 44 | 12 | i64, u32 | changed | the same |
//!
//! A status: tag (u32: 0 missing, 1 loaded, 2 mismatched, 3 malformed), kind (u32: 0 DWARF, 1
//! `.sym`, 2 symbol table, 3 call frame information only, 4 PDB), string ids of path, expected id,
//! found id, reason.
//!
//! Questions, and the records that answer them:
//!
//! | question | what | record |
//! |---|---|---|
//! | 0 | function, file, line, inline frames | start of the function (u64), parameter bytes (u32), flags (u32: bit 0 the start is known), then frames of 16 bytes, the innermost first: string ids of function and file, line (u32), flags (u32: bit 0 inlined, bit 1 the line is known) |
//! | 1 | at address 0: in which ways the files unwind, best first | 3 bytes each: kind (u8: 0 DWARF, 1 PE's exception table, 2 compact unwind, 3 `.ARM.exidx`, 4 a PDB's frame data), architecture (u8: 0 x86, 1 x86-64, 2 ARM, 3 AArch64), container (u8: 1 ELF, 0 another) |
//! | 2, 3 | how the first and second file with DWARF's call frame information recover the caller's registers | rules, see below; nothing = no rules |
//! | 4 | which signal trampoline stands there | nothing = none; else what told it (u8: 0 call frame information, 1 to 6 its code), its start (u64) |
//! | 5 | can there be no code | u8: 0, 1 |
//! | 6 | `STACK` records of a `.sym` file that cover the address | their text |
//! | 7, 8 | what unwind information other than DWARF's does in a stack's first frame, and in one that has called another | steps, see below |
//! | 9 | a PDB's record of how the frame is laid out | the text of a `STACK WIN` record; nothing = none |
//!
//! The checksum is there for damage. What is read is checked all the same, as of any file, and
//! bounded: 64 KiB a string, 512 frames and 256 KiB of text a symbolication.

use std::path::{Path, PathBuf};

use super::probes::{FileIdentity, MAX_PROBES, Probe, Stamp};
use crate::file::Links;
use crate::status::{ModuleStatus, SourceProblem, SymbolKind};
use crate::symbols::{SourceFrame, Symbolication};

pub(super) const MAGIC: &[u8; 8] = b"LWSYMBOL";
pub(super) const VERSION: u32 = 1;
/// Where the checksum stands, and where what it covers begins.
pub(super) const CHECKSUM_AT: usize = 12;
pub(super) const CHECKED_FROM: usize = 16;
pub(super) const HEADER_BYTES: usize = 32 + SECTIONS * 8;
pub(super) const SECTIONS: usize = 8;
pub(super) const PROBE_BYTES: usize = 56;
pub(super) const STATUS_BYTES: usize = 24;
pub(super) const PROBLEM_BYTES: usize = 8;
pub(super) const ENTRY_BYTES: usize = 24;
pub(super) const FRAME_BYTES: usize = 16;
pub(super) const NO_STRING: u32 = u32::MAX;
pub(super) const FLAG_INDEX: u32 = 1;
pub(super) const FLAG_JUDGED: u32 = 2;
pub(super) const FLAG_FOLLOW: u32 = 1;
pub(super) const FLAG_PRESENT: u32 = 2;
pub(super) const FLAG_INLINE: u32 = 1;
pub(super) const FLAG_LINE: u32 = 2;
pub(super) const FLAG_START: u32 = 1;
/// Longer texts and paths are not kept.
pub(super) const MAX_STRING_BYTES: usize = 64 << 10;
/// Texts of one symbolication; strings are shared in the file and copied in memory.
pub(super) const MAX_TEXT_BYTES: usize = 256 << 10;
pub(super) const MAX_FRAMES: usize = 512;
pub(super) const MAX_PROBLEMS: usize = 256;
/// Question of symbolications.
pub(super) const SYMBOLICATION: u32 = 0;

/// Which section.
#[derive(Clone, Copy)]
pub(super) enum Section {
    Key,
    Probes,
    Statuses,
    Problems,
    Entries,
    Records,
    Ends,
    Strings,
}

/// A cache file in memory, its header and checksum verified, the rest read when asked for.
pub(crate) struct View {
    bytes: Vec<u8>,
}

impl View {
    /// `None` for what is no undamaged file of this version.
    pub(crate) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let size = u32::try_from(bytes.len()).ok()?;
        let checked = bytes.get(CHECKED_FROM..)?;
        let is_right = bytes.starts_with(MAGIC)
            && u32_at(&bytes, 8)? == VERSION
            && u32_at(&bytes, 16)? == size
            && u32_at(&bytes, CHECKSUM_AT)? == crc32fast::hash(checked);
        let view = Self { bytes };
        let whole = [
            (Section::Probes, PROBE_BYTES),
            (Section::Statuses, STATUS_BYTES),
            (Section::Problems, PROBLEM_BYTES),
            (Section::Entries, ENTRY_BYTES),
            (Section::Ends, 4),
        ];
        let is_whole = |(section, entry)| view.section(section).len().is_multiple_of(entry);
        (is_right && whole.into_iter().all(is_whole)).then_some(view)
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.section(Section::Key)
    }

    /// What the search looked at; `None` when it cannot be read.
    pub(crate) fn probes(&self) -> Option<Vec<Probe>> {
        let entries = self.section(Section::Probes).chunks_exact(PROBE_BYTES);
        let is_bounded = entries.len() <= MAX_PROBES;
        is_bounded.then(|| entries.map(|entry| self.probe(entry)).collect())?
    }

    fn probe(&self, entry: &[u8]) -> Option<Probe> {
        let flags = u32_at(entry, 4)?;
        let identity = FileIdentity {
            mode: u32_at(entry, 8)?,
            size_bytes: u64_at(entry, 16)?,
            inode: u64_at(entry, 24)?,
            modified: stamp_at(entry, 32)?,
            changed: stamp_at(entry, 44)?,
        };
        Some(Probe {
            path: self.path(u32_at(entry, 0)?)?,
            links: if flags & FLAG_FOLLOW != 0 { Links::Follow } else { Links::Refuse },
            identity: (flags & FLAG_PRESENT != 0).then_some(identity),
        })
    }

    /// The fingerprint of the sources' files, if the search depended on it.
    pub(crate) fn index_fingerprint(&self) -> Option<u64> {
        (self.flags() & FLAG_INDEX != 0).then(|| u64_at(&self.bytes, 24))?
    }

    /// What the index found wrong with the sources; `None` when it cannot be read.
    pub(crate) fn problems(&self) -> Option<Vec<SourceProblem>> {
        let entries = self.section(Section::Problems).chunks_exact(PROBLEM_BYTES);
        let read = |entry| {
            let path = self.path(u32_at(entry, 0)?)?;
            Some(SourceProblem { path, message: self.text(u32_at(entry, 4)?)?.to_owned() })
        };
        (entries.len() <= MAX_PROBLEMS).then(|| entries.map(read).collect())?
    }

    /// What became of the search, before DWARF was judged.
    pub(crate) fn status(&self) -> Option<ModuleStatus> {
        self.status_at(0)
    }

    /// The same afterwards; `None` when no lookup has been made yet.
    pub(crate) fn judged_status(&self) -> Option<ModuleStatus> {
        (self.flags() & FLAG_JUDGED != 0).then(|| self.status_at(1))?
    }

    fn status_at(&self, index: usize) -> Option<ModuleStatus> {
        let entry = self.section(Section::Statuses).chunks_exact(STATUS_BYTES).nth(index)?;
        let path = || self.path(u32_at(entry, 8)?);
        let text = |at| Some(self.text(u32_at(entry, at)?)?.to_owned());
        Some(match u32_at(entry, 0)? {
            0 => ModuleStatus::Missing,
            1 => ModuleStatus::Loaded { path: path()?, kind: kind_of(u32_at(entry, 4)?)? },
            2 => ModuleStatus::Mismatched {
                path: path()?,
                expected: text(12)?,
                found: if u32_at(entry, 16)? == NO_STRING { None } else { Some(text(16)?) },
            },
            3 => ModuleStatus::Malformed { path: path()?, reason: text(20)? },
            _ => return None,
        })
    }

    /// The record that answers a question at an address.
    pub(crate) fn find(&self, question: u32, rva: u64) -> Option<&[u8]> {
        let entries = self.section(Section::Entries);
        let wanted = (question, rva);
        let (mut low, mut high) = (0, entries.len() / ENTRY_BYTES);
        while low < high {
            let middle = low.midpoint(high);
            let entry = entry_at(entries, middle)?;
            match (u32_at(entry, 0)?, u64_at(entry, 8)?).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle.checked_add(1)?,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.record(entry),
            }
        }
        None
    }

    /// All entries whose record lies within the file: question, address, record.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, u64, &[u8])> {
        let entries = self.section(Section::Entries).chunks_exact(ENTRY_BYTES);
        entries
            .filter_map(|entry| Some((u32_at(entry, 0)?, u64_at(entry, 8)?, self.record(entry)?)))
    }

    fn record(&self, entry: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(u32_at(entry, 16)?).ok()?;
        let size = usize::try_from(u32_at(entry, 20)?).ok()?;
        self.section(Section::Records).get(start..start.checked_add(size)?)
    }

    /// Reads a record of question 0.
    pub(crate) fn symbolication(&self, record: &[u8]) -> Option<Symbolication> {
        let (head, rest) = record.split_at_checked(FRAME_BYTES)?;
        if !rest.len().is_multiple_of(FRAME_BYTES) || rest.len() / FRAME_BYTES > MAX_FRAMES {
            return None;
        }
        let mut frames = Vec::with_capacity(rest.len() / FRAME_BYTES);
        let mut left_bytes = MAX_TEXT_BYTES;
        for bytes in rest.chunks_exact(FRAME_BYTES) {
            let frame = self.frame(bytes)?;
            left_bytes = left_bytes.checked_sub(text_bytes(&frame))?;
            frames.push(frame);
        }
        let has_start = u32_at(head, 12)? & FLAG_START != 0;
        Some(Symbolication {
            frames,
            function_rva: if has_start { Some(u64_at(head, 0)?) } else { None },
            parameter_bytes: u32_at(head, 8)?,
        })
    }

    fn frame(&self, bytes: &[u8]) -> Option<SourceFrame> {
        let text = |at| match u32_at(bytes, at)? {
            NO_STRING => Some(None),
            id => Some(Some(self.text(id)?.to_owned())),
        };
        let (line, flags) = (u32_at(bytes, 8)?, u32_at(bytes, 12)?);
        Some(SourceFrame {
            function: text(0)?,
            file: text(4)?,
            line: (flags & FLAG_LINE != 0).then_some(line),
            is_inline: flags & FLAG_INLINE != 0,
        })
    }

    fn flags(&self) -> u32 {
        u32_at(&self.bytes, 20).unwrap_or_default()
    }

    fn path(&self, id: u32) -> Option<PathBuf> {
        path_of(self.string(id)?)
    }

    fn text(&self, id: u32) -> Option<&str> {
        std::str::from_utf8(self.string(id)?).ok()
    }

    fn string(&self, id: u32) -> Option<&[u8]> {
        let index = usize::try_from(id).ok()?;
        let ends = self.section(Section::Ends);
        let end_of = |index: usize| usize::try_from(u32_at(ends, index.checked_mul(4)?)?).ok();
        let start = match index.checked_sub(1) {
            Some(before) => end_of(before)?,
            None => 0,
        };
        let bytes = self.section(Section::Strings).get(start..end_of(index)?)?;
        (bytes.len() <= MAX_STRING_BYTES).then_some(bytes)
    }

    /// Bytes of a section; none when they would lie outside of the file.
    fn section(&self, section: Section) -> &[u8] {
        self.section_at(section as usize).unwrap_or_default()
    }

    fn section_at(&self, index: usize) -> Option<&[u8]> {
        let place = index.checked_mul(8)?.checked_add(32)?;
        let start = usize::try_from(u32_at(&self.bytes, place)?).ok()?;
        let size = usize::try_from(u32_at(&self.bytes, place.checked_add(4)?)?).ok()?;
        self.bytes.get(start..start.checked_add(size)?)
    }
}

/// Bytes that the texts of a frame take.
pub(super) fn text_bytes(frame: &SourceFrame) -> usize {
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    len(&frame.function).saturating_add(len(&frame.file))
}

fn entry_at(entries: &[u8], index: usize) -> Option<&[u8]> {
    let start = index.checked_mul(ENTRY_BYTES)?;
    entries.get(start..start.checked_add(ENTRY_BYTES)?)
}

fn kind_of(word: u32) -> Option<SymbolKind> {
    KINDS.get(usize::try_from(word).ok()?).copied()
}

/// Kinds by their numbers in a file.
pub(super) const KINDS: [SymbolKind; 5] = [
    SymbolKind::Dwarf,
    SymbolKind::Breakpad,
    SymbolKind::SymbolTable,
    SymbolKind::CfiOnly,
    SymbolKind::Pdb,
];

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;

    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The bytes of a path, of which [`path_of`] makes the same path; `None` where there are none.
#[cfg(unix)]
pub(super) fn path_bytes(path: &Path) -> Option<&[u8]> {
    use std::os::unix::ffi::OsStrExt;

    Some(path.as_os_str().as_bytes())
}

/// The bytes of a path, of which [`path_of`] makes the same path; `None` where there are none.
#[cfg(not(unix))]
pub(super) fn path_bytes(path: &Path) -> Option<&[u8]> {
    path.to_str().map(str::as_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn stamp_at(bytes: &[u8], at: usize) -> Option<Stamp> {
    Some((u64_at(bytes, at)?.cast_signed(), u32_at(bytes, at.checked_add(8)?)?))
}
