//! The dump on disk while it is written: valid at every moment, because the directory is
//! written again after each stream.
//!
//! The large memory of a big dump stands at the end of the file, behind a gap in which streams that
//! are finished after it still find room: their 32-bit offsets do not reach farther.

mod compressed;
pub(crate) mod large;

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use lastwords_format::header::{self, DIRECTORY_ENTRY_SIZE, DirectoryEntry, HEADER_SIZE};
use lastwords_format::streams::{memory64_list, stream_type};
use lastwords_format::{Location, Sink};

use self::compressed::CompressedFile;
use self::large::{LargeSink, SparseFile};
use crate::plan::Limits;

/// Streams that a dump of ours can hold.
const MAX_STREAMS: usize = 64;
const ALIGNMENT: u64 = 8;
const BUFFER_SIZE: usize = 256 * 1024;
const PAGE: u64 = 4096;
/// Room for streams that are written after the large memory. A hole as long as it is not used.
const TAIL_ROOM: u64 = 1024 * 1024;

/// Where the large memory stands.
#[derive(Debug, Clone, Copy)]
struct Large {
    /// Offset of the stream that lists its ranges.
    list_rva: u32,
    /// Offset of its first byte; everything else stands before.
    base: u64,
    /// End of what the list tells of.
    end: u64,
}

/// A minidump being written, front to back.
#[derive(Debug)]
pub struct DumpFile {
    file: BufWriter<File>,
    offset: u64,
    /// End of the last stream that is wholly on disk.
    good_end: u64,
    /// A write failed: the file's length is not known, nothing more can be appended.
    is_broken: bool,
    directory: Vec<DirectoryEntry>,
    large: Option<Large>,
    /// Where the dump is to stand compressed.
    compressed: Option<File>,
    limits: Limits,
    is_cut: bool,
    time_s: u32,
    flags: u64,
}

impl DumpFile {
    /// Writes header and empty directory. `flags` are `MINIDUMP_TYPE` bits.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(file: File, time_s: u32, flags: u64) -> io::Result<Self> {
        let entries = u64::try_from(MAX_STREAMS).unwrap_or(0);
        let directory_size = u64::from(DIRECTORY_ENTRY_SIZE).saturating_mul(entries);
        let start = u64::from(HEADER_SIZE).saturating_add(directory_size);
        let mut dump = Self {
            file: BufWriter::with_capacity(BUFFER_SIZE, file),
            offset: 0,
            good_end: start,
            is_broken: false,
            directory: Vec::with_capacity(MAX_STREAMS),
            large: None,
            compressed: None,
            limits: Limits { max_dump_bytes: 0, min_free_bytes: 0, compress: false },
            is_cut: false,
            time_s,
            flags,
        };
        dump.file.write_all(&dump.front())?;
        dump.offset = start;
        Ok(dump)
    }

    /// Lets the file, and what it leaves of the disk, grow to these limits only.
    #[must_use]
    pub fn limited(mut self, limits: &Limits) -> Self {
        self.limits = *limits;
        self
    }

    /// Compresses into this empty file; what is written plainly then only serves its making.
    #[must_use]
    pub fn compressed_into(mut self, file: File) -> Self {
        self.compressed = Some(file);
        self
    }

    /// Whether the large memory stands in this file, and not compressed in another.
    pub(crate) fn is_plain(&self) -> bool {
        self.compressed.is_none()
    }

    /// Bytes of large memory that the file may hold; `None` = as many as there are.
    pub(crate) fn large_room(&self) -> Option<u64> {
        let base = self.large.map_or(self.offset, |large| large.base);
        let most = self.limits.max_dump_bytes;
        (most > 0).then(|| most.saturating_sub(base))
    }

    /// Bytes that must stay free on the disk; large memory is left out for them, nothing else.
    pub(crate) fn min_free(&self) -> u64 {
        self.limits.min_free_bytes
    }

    /// Says that something was left out for want of room or time.
    pub(crate) fn mark_cut(&mut self) {
        self.is_cut = true;
    }

    /// The file itself, to ask its disk for free space.
    pub(crate) fn file(&self) -> &File {
        self.file.get_ref()
    }

    fn front(&self) -> Vec<u8> {
        let mut entries = self.directory.clone();
        entries.resize(MAX_STREAMS, DirectoryEntry::default());
        header::encode(&entries, self.time_s, self.flags)
    }

    /// Appends a stream and enters it into the directory.
    ///
    /// # Errors
    /// What the disk says; the streams before stay readable.
    pub fn add_stream(&mut self, stream_type: u32, bytes: &[u8]) -> io::Result<()> {
        let location = self.append(bytes)?;
        self.guarded(|file| file.flush())?;
        self.enter(stream_type, location)?;
        self.good_end = self.offset;
        Ok(())
    }

    /// Adds a stream, or puts a newer one in the place of an older one of its type.
    ///
    /// # Errors
    /// What the disk says; the older one stays then.
    pub fn replace_stream(&mut self, stream_type: u32, bytes: &[u8]) -> io::Result<()> {
        let before = self.directory.clone();
        self.directory.retain(|entry| entry.stream_type != stream_type);
        let result = self.add_stream(stream_type, bytes);
        if result.is_err() {
            self.directory = before;
        }
        result
    }

    fn enter(&mut self, stream_type: u32, location: Location) -> io::Result<()> {
        if self.directory.len() >= MAX_STREAMS {
            return Err(io::Error::other("the directory is full"));
        }
        let Location { size, rva } = location;
        self.directory.push(DirectoryEntry { stream_type, size, rva });
        let written = self.file.get_ref().write_all_at(&self.front(), 0);
        if written.is_err() {
            self.directory.pop();
        }
        written
    }

    /// Makes room for the list of `count` ranges of large memory; gives the place for their bytes.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn begin_large(&mut self, count: usize) -> io::Result<Box<dyn LargeSink>> {
        let size = usize::try_from(memory64_list::size(count)).unwrap_or(usize::MAX);
        let Location { rva, .. } = self.append(&vec![0; size])?;
        self.guarded(|file| file.flush())?;
        self.good_end = self.offset;
        let base = self.offset.saturating_add(TAIL_ROOM).next_multiple_of(PAGE);
        self.large = Some(Large { list_rva: rva, base, end: base });
        Ok(match &self.compressed {
            Some(file) => Box::new(CompressedFile::new(file.try_clone()?, base)?),
            None => Box::new(SparseFile::new(self.file.get_ref().try_clone()?, base)),
        })
    }

    /// Tells which ranges of large memory are in the file by now.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn publish_large(&mut self, ranges: &[Range<u64>]) -> io::Result<()> {
        let Some(Large { list_rva, base, .. }) = self.large else { return Ok(()) };
        let list = memory64_list::encode(base, ranges);
        self.file.get_ref().write_all_at(&list, list_rva.into())?;
        let size = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.directory.retain(|entry| entry.stream_type != stream_type::MEMORY64_LIST);
        self.enter(stream_type::MEMORY64_LIST, Location { size, rva: list_rva })?;
        let lengths = ranges.iter().map(|range| range.end.saturating_sub(range.start));
        let end = lengths.fold(base, u64::saturating_add);
        self.large = Some(Large { list_rva, base, end });
        Ok(())
    }

    /// Whether a write failed, so that nothing more can be written.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Forgets what stands behind the last good stream, so that a smaller one may still find
    /// room; gives the end of what is kept.
    pub fn rewind(&mut self) -> u64 {
        if let Ok(file) = self.file.get_ref().try_clone() {
            let unwritten =
                std::mem::replace(&mut self.file, BufWriter::with_capacity(BUFFER_SIZE, file));
            // Not dropped as it is: that would write its buffer.
            drop(unwritten.into_parts());
            let file = self.file.get_mut();
            // Before the first stream the header has not been written either.
            let end = if self.directory.is_empty() { 0 } else { self.good_end };
            let cut = if self.large.is_some() { Ok(()) } else { file.set_len(end) };
            let is_back = cut.and_then(|()| file.seek(SeekFrom::Start(end)));
            self.is_broken = is_back.is_err();
            self.offset = self.good_end;
            if end == 0 && !self.is_broken {
                let front = self.front();
                self.is_broken = self.file.write_all(&front).is_err();
            }
        }
        self.good_end
    }

    fn guarded(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        let result = write(&mut self.file);
        self.is_broken = result.is_err();
        result
    }

    /// Gives up compressing: what stands in the dump itself is all there is.
    pub(crate) fn abandon_compression(&mut self) {
        self.compressed = None;
        self.is_cut = true;
    }

    /// Ends the file and gives its size. After a failed write, what stands behind the last
    /// good stream is cut off, so that a full disk gets the room back.
    ///
    /// # Errors
    /// What the disk says, or that not even one stream could be written: there is no dump then.
    pub fn finish(self) -> io::Result<u64> {
        self.finish_compressed().map(|written| written.size_bytes)
    }

    /// Ends the file, and compresses it if that is wanted.
    ///
    /// # Errors
    /// As [`DumpFile::finish`]. A dump that cannot be compressed stays plain, without large memory.
    pub(crate) fn finish_compressed(mut self) -> io::Result<Written> {
        let is_whole = self.guarded(|file| file.flush()).is_ok() && !self.directory.is_empty();
        let mut not_compressed = None;
        if let Some(to) = self.compressed.take().filter(|_| is_whole) {
            let front = self.large().map_or(self.offset, |large| large.base);
            match compressed::add_front(self.file.get_ref(), front, &to) {
                Ok(size_bytes) => {
                    let is_cut = self.is_cut;
                    return Ok(Written { size_bytes, is_compressed: true, is_cut, not_compressed });
                }
                Err(error) => not_compressed = Some(error),
            }
            if self.large().is_some() {
                self.publish_large(&[])?;
                self.is_cut = true;
            }
        }
        let is_cut = self.is_cut;
        let size_bytes = self.finish_plain(is_whole)?;
        Ok(Written { size_bytes, is_compressed: false, is_cut, not_compressed })
    }

    /// The large memory, if there is some.
    fn large(&self) -> Option<Large> {
        self.large.filter(|large| large.end > large.base)
    }

    fn finish_plain(self, is_whole: bool) -> io::Result<u64> {
        let large = self.large();
        let (file, _) = self.file.into_parts();
        if let Some(large) = large {
            file.set_len(large.end)?;
            return Ok(large.end);
        }
        if self.large.is_some() && is_whole {
            file.set_len(self.offset)?;
        }
        if is_whole {
            return Ok(self.offset);
        }
        if self.directory.is_empty() {
            file.set_len(0)?;
            return Err(io::Error::other("not even its first stream could be written"));
        }
        file.set_len(self.good_end)?;
        Ok(self.good_end)
    }
}

/// A finished dump.
#[derive(Debug)]
pub(crate) struct Written {
    /// Of the file that holds it.
    pub(crate) size_bytes: u64,
    pub(crate) is_compressed: bool,
    /// Whether something was left out for want of room or time.
    pub(crate) is_cut: bool,
    /// Why it is not compressed although it should be.
    pub(crate) not_compressed: Option<io::Error>,
}

impl Sink for DumpFile {
    type Error = io::Error;

    fn append(&mut self, bytes: &[u8]) -> io::Result<Location> {
        let padding = self.offset.wrapping_neg() % ALIGNMENT;
        let start = self.offset.saturating_add(padding);
        let size = u32::try_from(bytes.len());
        let end = start.checked_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let (Ok(size), Ok(rva), Some(end)) = (size, u32::try_from(start), end) else {
            return Err(io::Error::other("the dump reached 4 GiB, where its offsets end"));
        };
        let most = self.limits.max_dump_bytes;
        let has_ended = self.large.map_or(most > 0 && end > most, |large| end > large.base);
        if has_ended {
            self.is_cut = true;
            return Err(io::Error::other("the dump reached its greatest size"));
        }
        let zeros = [0; 8];
        let padding = zeros.get(..usize::try_from(padding).unwrap_or(0)).unwrap_or(&[]);
        self.guarded(|file| {
            file.write_all(padding)?;
            file.write_all(bytes)
        })?;
        self.offset = end;
        Ok(Location { size, rva })
    }
}
