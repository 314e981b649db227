//! The dump on disk while it is written: valid at every moment, because the directory is
//! written again after each stream.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use lastwords_format::header::{self, DIRECTORY_ENTRY_SIZE, DirectoryEntry, HEADER_SIZE};
use lastwords_format::{Location, Sink};

/// Streams that a dump of ours can hold.
const MAX_STREAMS: usize = 64;
const ALIGNMENT: u64 = 8;
const BUFFER_SIZE: usize = 256 * 1024;

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
            time_s,
            flags,
        };
        dump.file.write_all(&dump.front())?;
        dump.offset = start;
        Ok(dump)
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
        if self.directory.len() >= MAX_STREAMS {
            return Err(io::Error::other("the directory is full"));
        }
        let Location { size, rva } = location;
        self.directory.push(DirectoryEntry { stream_type, size, rva });
        if let Err(error) = self.file.get_ref().write_all_at(&self.front(), 0) {
            self.directory.pop();
            return Err(error);
        }
        self.good_end = self.offset;
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
            let is_back = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
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

    /// Ends the file and gives its size. After a failed write, what stands behind the last
    /// good stream is cut off, so that a full disk gets the room back.
    ///
    /// # Errors
    /// What the disk says, or that not even one stream could be written: there is no dump then.
    pub fn finish(mut self) -> io::Result<u64> {
        let is_whole = self.guarded(|file| file.flush()).is_ok();
        let (file, _) = self.file.into_parts();
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
