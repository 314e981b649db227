//! The files behind the mappings: what a process's memory does not hold, such as section headers
//! and the symbols that are not exported, stands there.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Mapping;

/// A file that can be read at any place.
pub trait ReadAt {
    /// Fills `buffer` wholly with the bytes at `offset`.
    ///
    /// # Errors
    /// What the system says; the end of the file is an error.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

/// Opens the files of a process. What is opened is compared with the process's memory before it
/// is used, so a file that has been replaced does no harm.
pub trait Files {
    /// Opens the file that a mapping names; `None` when it cannot be had.
    fn open(&self, path: &str) -> Option<Box<dyn ReadAt>>;
}

/// No files: everything that is known stands in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn open(&self, _: &str) -> Option<Box<dyn ReadAt>> {
        None
    }
}

/// The files of this machine, for a core file that was written here.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFiles;

impl Files for LocalFiles {
    fn open(&self, path: &str) -> Option<Box<dyn ReadAt>> {
        open(path)
    }
}

/// The files of a living process, also deleted ones, and those that only it can see.
///
/// In this order: the kernel's own link to the file (`/proc/PID/map_files`, proc(5); needs
/// `CAP_CHECKPOINT_RESTORE`), the path as the process sees it (`/proc/PID/root`), the path as we
/// see it: the maps of a process in a changed root name paths as the reader sees them, those of
/// one in another mount namespace as the process does. What replaced a deleted file may be the same
/// again.
#[derive(Debug, Clone, Copy)]
pub struct ProcessFiles<'m> {
    id: u32,
    mappings: &'m [Mapping],
}

impl<'m> ProcessFiles<'m> {
    /// `id` is that of the process or of one of its threads.
    #[must_use]
    pub fn new(id: u32, mappings: &'m [Mapping]) -> Self {
        Self { id, mappings }
    }
}

impl Files for ProcessFiles<'_> {
    fn open(&self, path: &str) -> Option<Box<dyn ReadAt>> {
        let id = self.id;
        let mapping = self.mappings.iter().find(|mapping| mapping.path == path);
        let link = mapping.and_then(|mapping| {
            open(&format!("/proc/{id}/map_files/{:x}-{:x}", mapping.start, mapping.end))
        });
        let plain = path.strip_suffix(" (deleted)").unwrap_or(path);
        let paths = [format!("/proc/{id}/root{path}"), path.to_owned()];
        let unmarked = [format!("/proc/{id}/root{plain}"), plain.to_owned()];
        link.or_else(|| paths.iter().chain(&unmarked).find_map(|path| open(path)))
    }
}

/// Opens an ordinary file; never waits for the other end of a pipe.
fn open(path: &str) -> Option<Box<dyn ReadAt>> {
    if !Path::new(path).metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let mut options = File::options();
    options.read(true);
    #[cfg(target_os = "linux")]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, O_NONBLOCK);
    Some(Box::new(options.open(path).ok()?))
}

/// `O_NONBLOCK` (`asm-generic/fcntl.h`): the path may have become a pipe since it was looked at.
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;
