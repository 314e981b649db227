//! Dumps that are larger than memory: everything but the memory, and of that what stacks need.
//!
//! A full dump is a small head (streams and what they point to, with 32-bit offsets) and the
//! memory of the process behind it (`Memory64List`: one 64-bit offset, any size). The head is read
//! whole. Of the memory are read: the stacks, from the stack pointer up; what lies around
//! the instruction pointers, the fault address and the pointers in the crashing thread's
//! registers; the thread environment blocks of Windows. They go behind the head, and the list
//! says where they are. A list that leads behind the end of a file that was cut off keeps what is
//! there.
//!
//! | offset | size | type | field of `MINIDUMP_MEMORY64_LIST` |
//! |---|---|---|---|
//! | 0 | 8 | u64 | NumberOfMemoryRanges |
//! | 8 | 8 | u64 | BaseRva: where the first range's bytes stand; the others follow each other |
//! | 16 + 16 n | 8 | u64 | StartOfMemoryRange |
//! | 24 + 16 n | 8 | u64 | DataSize |

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use minidump::Minidump;

use crate::guard;
use crate::large_choice::{self, Span};
use crate::panics::caught;
use crate::soft_errors::SoftErrors;

/// Streams and what they point to, without memory.
const MAX_HEAD_BYTES: u64 = 1 << 30;
/// Lists above this are no lists: a process has some 65,530 mappings unless told otherwise.
const MAX_RANGES: u64 = 1 << 22;
const HEADER_BYTES: usize = 32;
const ENTRY_BYTES: u64 = 12;
const THREAD_LIST: u32 = 3;
const MEMORY_LIST: u32 = 5;
const MEMORY_64_LIST: u32 = 9;

/// A range of memory, and where its bytes stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) offset: u64,
}

/// The dump's list of memory, as far as the file holds it.
struct Memory {
    /// Offset of its entry in the stream directory.
    entry: u64,
    base: u64,
    /// By address; none overlaps another.
    ranges: Vec<Range>,
    missing: u64,
    overlapping: usize,
}

/// Reads a dump of `len` bytes: whole if it has at most `max_whole_bytes`, else without the
/// memory that stacks do not need.
pub(crate) fn read<S: Read + Seek>(
    source: &mut S,
    len: u64,
    max_whole_bytes: u64,
    soft_errors: &mut SoftErrors,
) -> io::Result<Vec<u8>> {
    let memory = find_memory(source, len)?;
    let is_whole = memory.as_ref().is_none_or(|memory| memory.missing == 0);
    if len <= max_whole_bytes && is_whole {
        return read_at(source, 0, len);
    }
    let head_bytes = memory.as_ref().map_or(len, |memory| memory.base);
    let kept = head_bytes.min(len).min(MAX_HEAD_BYTES.max(max_whole_bytes));
    if kept < head_bytes.min(len) {
        let message = format!("{kept} bytes are read, the file has {len}");
        soft_errors.push("file_cut", "file", message);
    }
    let mut bytes = read_at(source, 0, kept)?;
    let Some(memory) = memory.filter(|memory| memory.base <= kept) else { return Ok(bytes) };
    if memory.missing > 0 {
        let message = format!("{} bytes of memory lie behind the file's end", memory.missing);
        soft_errors.push("stream_malformed", "stream Memory64List", message);
    }
    if memory.overlapping > 0 {
        let message = format!("{} ranges of memory overlap others", memory.overlapping);
        soft_errors.push("stream_malformed", "stream Memory64List", message);
    }
    note_streams_behind(&mut bytes, &memory, soft_errors);
    forget_memory_of_head(&mut bytes, memory.base);
    add_memory(source, &mut bytes, &memory, soft_errors)?;
    Ok(bytes)
}

/// The ranges of the dump's list of 64-bit memory, by address; `None` where there is no such list.
pub(crate) fn ranges<S: Read + Seek>(source: &mut S, len: u64) -> Option<Vec<Range>> {
    find_memory(source, len).ok().flatten().map(|memory| memory.ranges)
}

/// Reads `size` bytes at `offset`, or as many as there are.
fn read_at<S: Read + Seek>(source: &mut S, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    let expected = usize::try_from(size).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(expected).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    source.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Finds the list of memory by header and directory; `None` when there is none that can be read.
fn find_memory<S: Read + Seek>(source: &mut S, len: u64) -> io::Result<Option<Memory>> {
    let header = read_at(source, 0, HEADER_BYTES as u64)?;
    let is_big_endian = header.starts_with(b"PMDM");
    let field = |offset| u32_at(&header, offset, is_big_endian);
    let (Some(count), Some(directory)) = (field(8), field(12)) else { return Ok(None) };
    let count = u64::from(count.min(guard::MAX_STREAMS));
    let entries = read_at(source, directory.into(), count.saturating_mul(ENTRY_BYTES))?;
    let mut found = None;
    for (index, entry) in (0_u64..).zip(entries.chunks_exact(ENTRY_BYTES as usize)) {
        let field = |offset| u32_at(entry, offset, is_big_endian).unwrap_or(0);
        if field(0) == MEMORY_64_LIST {
            let at = u64::from(directory).saturating_add(index.saturating_mul(ENTRY_BYTES));
            found = Some((at, field(4), field(8)));
        }
    }
    let Some((entry, size, rva)) = found else { return Ok(None) };
    let most = MAX_RANGES.saturating_mul(16).saturating_add(16);
    let list = read_at(source, rva.into(), u64::from(size).min(most))?;
    Ok(decode(&list, is_big_endian, len, entry))
}

fn decode(list: &[u8], is_big_endian: bool, len: u64, entry: u64) -> Option<Memory> {
    let field = |offset: usize| u64_at(list, offset, is_big_endian);
    let (count, base) = (field(0)?, field(8)?);
    let mut memory = Memory { entry, base, ranges: Vec::new(), missing: 0, overlapping: 0 };
    let mut offset = base;
    for chunk in list.get(16..)?.chunks_exact(16).take(usize::try_from(count).ok()?) {
        let start = u64_at(chunk, 0, is_big_endian)?;
        let size = u64_at(chunk, 8, is_big_endian)?;
        let there = size.min(len.saturating_sub(offset));
        memory.missing = memory.missing.saturating_add(size.saturating_sub(there));
        if there > 0 && start.checked_add(there).is_some() {
            memory.ranges.push(Range { start, size: there, offset });
        }
        offset = offset.checked_add(size)?;
    }
    // Of those that start at the same address the first one counts.
    memory.ranges.sort_by_key(|range| range.start);
    let mut end = 0;
    let count = memory.ranges.len();
    memory.ranges.retain(|range| {
        let is_apart = range.start >= end;
        end = end.max(range.start.saturating_add(range.size));
        is_apart
    });
    memory.overlapping = count.saturating_sub(memory.ranges.len());
    Some(memory)
}

/// Streams behind the memory: their offsets would lead into what is put there now.
fn note_streams_behind(bytes: &mut [u8], memory: &Memory, soft_errors: &mut SoftErrors) {
    let mut dropped = 0_u32;
    for_each_entry(bytes, |entry, is_big_endian| {
        let field = |offset| u32_at(entry, offset, is_big_endian).unwrap_or(0);
        let end = u64::from(field(8)).saturating_add(field(4).into());
        if field(0) != 0 && field(0) != MEMORY_64_LIST && end > memory.base {
            entry.fill(0);
            dropped = dropped.saturating_add(1);
        }
    });
    if dropped > 0 {
        let message = format!("{dropped} streams that stand behind the memory are left out");
        soft_errors.push("streams_cut", "stream directory", message);
    }
}

/// Calls `work` with the bytes of every directory entry.
fn for_each_entry(bytes: &mut [u8], mut work: impl FnMut(&mut [u8], bool)) {
    let is_big_endian = bytes.starts_with(b"PMDM");
    let field = |offset| u32_at(bytes, offset, is_big_endian).unwrap_or(0);
    let count = usize::try_from(field(8).min(guard::MAX_STREAMS)).unwrap_or(0);
    let start = usize::try_from(field(12)).unwrap_or(usize::MAX);
    let directory = bytes.get_mut(start..).unwrap_or_default();
    for entry in directory.chunks_exact_mut(ENTRY_BYTES as usize).take(count) {
        work(entry, is_big_endian);
    }
}

/// Entries of thread and memory lists that point into the memory point nowhere now: their
/// readers look into the list of memory instead.
fn forget_memory_of_head(bytes: &mut [u8], base: u64) {
    let mut lists = Vec::new();
    for_each_entry(bytes, |entry, is_big_endian| {
        let field = |offset| u32_at(entry, offset, is_big_endian).unwrap_or(0);
        lists.push((field(0), field(4), field(8), is_big_endian));
    });
    for (stream_type, size, rva, is_big_endian) in lists {
        // Size of an entry, and where in it the size and offset of the bytes stand.
        let (entry_bytes, place) = match stream_type {
            THREAD_LIST => (48_usize, 32_usize),
            MEMORY_LIST => (16, 8),
            _ => continue,
        };
        let (Ok(start), Ok(size)) = (usize::try_from(rva), usize::try_from(size)) else { continue };
        let end = start.saturating_add(size).min(bytes.len());
        // A count of 4 bytes, which some writers pad to 8.
        let is_packed = size.saturating_sub(4).is_multiple_of(entry_bytes);
        let header = if is_packed { 4 } else { 8 };
        let Some(list) = bytes.get_mut(start.saturating_add(header)..end) else { continue };
        for entry in list.chunks_exact_mut(entry_bytes) {
            let Some(location) = entry.get_mut(place..place.saturating_add(8)) else { continue };
            let field = |offset| u32_at(location, offset, is_big_endian).unwrap_or(0);
            if u64::from(field(0)).saturating_add(field(4).into()) > base {
                location.fill(0);
            }
        }
    }
}

/// Copies what is needed behind `bytes`, and makes the directory's entry lead to a list of it.
fn add_memory<S: Read + Seek>(
    source: &mut S,
    bytes: &mut Vec<u8>,
    memory: &Memory,
    soft_errors: &mut SoftErrors,
) -> io::Result<()> {
    hide(bytes, memory.entry);
    guard::apply(bytes, guard::MAX_STREAMS, soft_errors);
    let spans: Vec<Span> = memory.ranges.iter().map(|range| (range.start, range.size)).collect();
    let wanted = caught(|| {
        let dump = Minidump::read(&bytes[..]).ok()?;
        Some(large_choice::wanted(&dump, &spans))
    });
    let wanted = wanted.ok().flatten().unwrap_or_default();
    let mut list: Vec<(u64, u64)> = Vec::new();
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    let first = bytes.len();
    let mut places: Vec<(u64, u64, u64)> = Vec::new();
    for (start, size) in wanted {
        let at = memory.ranges.partition_point(|range| range.start <= start).checked_sub(1);
        let Some(range) = at.and_then(|at| memory.ranges.get(at)) else { continue };
        let skipped = start.saturating_sub(range.start);
        let offset = range.offset.saturating_add(skipped);
        places.push((offset, start, size.min(range.size.saturating_sub(skipped))));
    }
    // A packed file is quick to read forward only.
    places.sort_unstable();
    for (offset, start, size) in places {
        let there = read_at(source, offset, size)?;
        list.push((start, there.len() as u64));
        bytes.extend(there);
    }
    write_list(bytes, memory.entry, first, &list);
    Ok(())
}

/// Takes the directory's entry out, so that nobody reads a list that is not true yet.
fn hide(bytes: &mut [u8], entry: u64) {
    let Ok(entry) = usize::try_from(entry) else { return };
    if let Some(stream_type) = bytes.get_mut(entry..entry.saturating_add(4)) {
        stream_type.fill(0);
    }
}

fn write_list(bytes: &mut Vec<u8>, entry: u64, first: usize, list: &[(u64, u64)]) {
    if list.is_empty() {
        return;
    }
    let is_big_endian = bytes.starts_with(b"PMDM");
    let word = |value: u64| if is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let half = |value: u32| if is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut stream = [word(list.len() as u64), word(first as u64)].concat();
    stream.extend(list.iter().flat_map(|(start, size)| [word(*start), word(*size)].concat()));
    let (Ok(size), Ok(rva)) = (u32::try_from(stream.len()), u32::try_from(bytes.len())) else {
        return;
    };
    bytes.extend(stream);
    let Ok(entry) = usize::try_from(entry) else { return };
    if let Some(place) = bytes.get_mut(entry..entry.saturating_add(ENTRY_BYTES as usize)) {
        place.copy_from_slice(&[half(MEMORY_64_LIST), half(size), half(rva)].concat());
    }
}

fn u32_at(bytes: &[u8], offset: usize, is_big_endian: bool) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
    Some(if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

fn u64_at(bytes: &[u8], offset: usize, is_big_endian: bool) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?;
    Some(if is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
}
