//! The memory of a dead process: what its core file holds, and what stands unchanged in the files
//! that were mapped, which core files leave out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use lastwords_pyframes::find::Image;
use lastwords_pyframes::{Memory, MemoryError};

use super::file::Segment;
use lastwords_format::core_notes::MappedFile;

/// Memory of a core file.
#[derive(Debug)]
pub(super) struct CoreMemory {
    file: File,
    /// By address.
    segments: Vec<Segment>,
    /// Files that may be read in the stead of memory, by address.
    files: Vec<MappedFile>,
    opened: RefCell<HashMap<String, Option<File>>>,
}

impl CoreMemory {
    /// Reads from the core file only, until [`CoreMemory::trust`] says more.
    pub(super) fn new(file: File, segments: Vec<Segment>) -> Self {
        Self { file, segments, files: Vec::new(), opened: RefCell::default() }
    }

    /// Lets what the core lacks be read from these files.
    pub(super) fn trust(&mut self, mut files: Vec<MappedFile>) {
        files.sort_by_key(|file| file.start);
        self.files = files;
    }

    /// Bytes that the core file holds from the start of a mapping on; `None` = none.
    pub(super) fn held_from(&self, start: u64) -> Option<u64> {
        let first = self.segments.partition_point(|segment| segment.start < start);
        let segment = self.segments.get(first).filter(|segment| segment.start == start)?;
        Some(segment.in_file).filter(|held| *held > 0)
    }

    /// Reads as much as one segment or file holds; `None` = not even a byte.
    fn read_piece(&self, address: u64, buffer: &mut [u8]) -> Option<usize> {
        let behind = self.segments.partition_point(|segment| segment.start <= address);
        let segment = behind.checked_sub(1).and_then(|index| self.segments.get(index));
        if let Some(segment) = segment {
            let into = address.saturating_sub(segment.start);
            if let Some(left) = segment.in_file.checked_sub(into).filter(|left| *left > 0) {
                let piece = shortened(buffer, left);
                let at = segment.offset.checked_add(into)?;
                return self.file.read_exact_at(piece, at).ok().map(|()| piece.len());
            }
        }
        self.read_mapped(address, buffer)
    }

    fn read_mapped(&self, address: u64, buffer: &mut [u8]) -> Option<usize> {
        let behind = self.files.partition_point(|file| file.start <= address);
        let mapped = self.files.get(behind.checked_sub(1)?)?;
        let left = mapped.end.checked_sub(address).filter(|left| *left > 0)?;
        let piece = shortened(buffer, left);
        let mut opened = self.opened.borrow_mut();
        let file = opened.entry(mapped.path.clone()).or_insert_with(|| open(&mapped.path));
        let at = mapped.offset.checked_add(address.checked_sub(mapped.start)?)?;
        file.as_ref()?.read_exact_at(piece, at).ok().map(|()| piece.len())
    }
}

fn shortened(buffer: &mut [u8], most: u64) -> &mut [u8] {
    let length = buffer.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    buffer.get_mut(..length).unwrap_or_default()
}

/// A core may name any path: only regular files are opened.
fn open(path: &str) -> Option<File> {
    let is_regular = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_regular.then(|| File::open(path).ok()).flatten()
}

/// An ELF file, read as if it were mapped at 0: true of its first segment, where its notes stand.
struct FileAsMemory(File);

impl Memory for FileAsMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let read = self.0.read_exact_at(buffer, address);
        read.map_err(|error| MemoryError::new(address, buffer.len(), error.to_string()))
    }
}

/// The GNU build id of an ELF file; `None` when it has none, or is not there.
pub(super) fn build_id_of(path: &str) -> Option<Vec<u8>> {
    let memory = FileAsMemory(open(path)?);
    Image::read(&memory, 0)?.build_id(&memory)
}

impl Memory for CoreMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let length = buffer.len();
        let mut at = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let read = self.read_piece(at, rest).filter(|read| *read > 0);
            let read = read.ok_or_else(|| MemoryError::new(address, length, "not in the core"))?;
            at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            rest = rest.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }
}
