//! Opening symbol files: regular files only, bounded in size, mapped into memory.

use std::fs::{File, Metadata, OpenOptions};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

/// Files above this size are refused; the largest real debug files (browsers, CUDA
/// libraries) are some GiB.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 30;

/// Why a symbol file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path does not exist, or may not be read.
    #[error("cannot open: {0}")]
    Io(#[from] std::io::Error),
    /// A folder, FIFO, device or socket, or a symbolic link where none is followed.
    #[error("not a regular file")]
    NotRegular,
    /// The file changed between the check and the opening.
    #[error("the path was replaced while it was opened")]
    Replaced,
    /// Empty, or above the limit.
    #[error("the file has {size_bytes} bytes, expected 1 to {MAX_FILE_BYTES}")]
    Size {
        /// What the file system says.
        size_bytes: u64,
    },
}

/// Whether the last component of a path may be a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// For paths that the operator gave: `.build-id` trees are made of links.
    Follow,
    /// For paths that a dump names.
    Refuse,
}

/// A whole regular file, mapped read-only. Pages are read when touched.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps `path` without ever blocking on a FIFO or touching a device.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(path: &Path, links: Links) -> Result<Arc<Self>, OpenError> {
        let before = match links {
            Links::Follow => std::fs::metadata(path)?,
            Links::Refuse => std::fs::symlink_metadata(path)?,
        };
        check(&before)?;
        let file = open_nonblocking(path, links)?;
        let after = file.metadata()?;
        check(&after)?;
        if !is_same_file(&before, &after) {
            return Err(OpenError::Replaced);
        }
        // SAFETY: the mapping is private and read-only, and nothing in this process writes to
        // symbol files. A file truncated by somebody else while it is read ends in SIGBUS, not
        // in undefined reads; untrusted dumps are analysed in a disposable process.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Arc::new(Self { path: path.to_owned(), map }))
    }

    /// The path as it was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

fn check(metadata: &Metadata) -> Result<(), OpenError> {
    if !metadata.is_file() {
        return Err(OpenError::NotRegular);
    }
    match metadata.len() {
        1..=MAX_FILE_BYTES => Ok(()),
        size_bytes => Err(OpenError::Size { size_bytes }),
    }
}

#[cfg(unix)]
pub(crate) fn open_nonblocking(path: &Path, links: Links) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let no_follow = if links == Links::Refuse { libc::O_NOFOLLOW } else { 0 };
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC | no_follow;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(not(unix))]
pub(crate) fn open_nonblocking(path: &Path, _links: Links) -> std::io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(unix)]
fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifo_is_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        let error = MappedFile::open(&path, Links::Follow).unwrap_err();
        assert!(matches!(error, OpenError::NotRegular), "{error}");
    }

    #[test]
    fn device_folder_and_empty_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty");
        std::fs::write(&empty, b"").unwrap();
        for path in [Path::new("/dev/zero"), dir.path(), &empty] {
            assert!(MappedFile::open(path, Links::Follow).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn links_are_followed_only_where_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, b"bytes").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(&**MappedFile::open(&link, Links::Follow).unwrap(), b"bytes");
        assert!(matches!(MappedFile::open(&link, Links::Refuse), Err(OpenError::NotRegular)));
    }
}
