//! The folder of the cache: whose it is, atomic writing, and keeping it small.
//!
//! Nothing here is an error: a folder that cannot be used is no folder.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::key::is_cache_file;
use crate::file::{Links, open_nonblocking};

/// End of the names of files that are being written.
const UNFINISHED: &str = ".unfinished";
/// An unfinished file of this age was left behind.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);
/// A file that is used says so by its time of modification, not more often than this.
const USE_NOTED_EVERY: Duration = Duration::from_secs(3600);
/// Names in the folder that are looked at.
const MAX_NAMES: usize = 100_000;

/// Limits of a folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FolderLimits {
    /// Of one file.
    pub(crate) file_bytes: usize,
    /// Of all files together.
    pub(crate) total_bytes: u64,
    pub(crate) files: usize,
}

/// A folder that belongs to us alone.
pub(crate) struct Folder {
    path: PathBuf,
    limits: FolderLimits,
    is_ours: OnceLock<bool>,
}

impl Folder {
    /// Looks at nothing yet.
    pub(crate) fn new(path: PathBuf, limits: FolderLimits) -> Self {
        Self { path, limits, is_ours: OnceLock::new() }
    }

    /// The bytes of a file; `None` when there is none, or none that may be used.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        if !self.is_ours.get_or_init(|| is_ours(&self.path)) {
            return None;
        }
        let file = open_nonblocking(&self.path.join(name), Links::Refuse).ok()?;
        let metadata = file.metadata().ok()?;
        let size = usize::try_from(metadata.len()).ok()?;
        if !metadata.is_file() || size > self.limits.file_bytes {
            return None;
        }
        let mut bytes = Vec::with_capacity(size.saturating_add(1));
        let most = u64::try_from(self.limits.file_bytes).ok()?;
        (&file).take(most.saturating_add(1)).read_to_end(&mut bytes).ok()?;
        note_use(&file, &metadata);
        Some(bytes)
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path.join(name).is_file()
    }

    /// Puts a file in its place at once, so that a reader sees the old one or the new one.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        if bytes.len() > self.limits.file_bytes || !self.make() {
            return;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{name}.{}.{number}{UNFINISHED}", std::process::id());
        let unfinished = self.path.join(unfinished);
        let written = create(&unfinished).and_then(|mut file| file.write_all(bytes));
        let placed = written.and_then(|()| std::fs::rename(&unfinished, self.path.join(name)));
        if placed.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
    }

    /// Removes a file that is of no use.
    pub(crate) fn remove(&self, name: &str) {
        if self.is_ours.get() == Some(&true) {
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }

    /// Makes the folder if it is not there; whether it can be used.
    fn make(&self) -> bool {
        if self.is_ours.get() == Some(&true) {
            return true;
        }
        make_private(&self.path).is_ok() && is_ours(&self.path)
    }

    /// Removes the files that were not used for longest, until a quarter of the room is free, when there
    /// are too many or they take too much. Only files of the cache are counted and removed.
    pub(crate) fn prune(&self) {
        let Ok(names) = std::fs::read_dir(&self.path) else { return };
        let now = SystemTime::now();
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in names.flatten().take(MAX_NAMES) {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // Follows no links.
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if !metadata.is_file() {
                continue;
            }
            if is_cache_file(name) {
                files.push((modified, metadata.len(), entry.path()));
            } else if is_unfinished(name) && is_older(modified, now, ABANDONED_AFTER) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        self.prune_files(files);
    }

    fn prune_files(&self, mut files: Vec<(SystemTime, u64, PathBuf)>) {
        let mut count = files.len();
        let mut bytes = files.iter().map(|(_, size, _)| *size).fold(0, u64::saturating_add);
        let FolderLimits { total_bytes, files: most, .. } = self.limits;
        if bytes <= total_bytes && count <= most {
            return;
        }
        files.sort_unstable();
        for (_, size, path) in files {
            if bytes <= total_bytes.saturating_sub(total_bytes / 4)
                && count <= most.saturating_sub(most / 4)
            {
                return;
            }
            if std::fs::remove_file(path).is_ok() {
                bytes = bytes.saturating_sub(size);
                count = count.saturating_sub(1);
            }
        }
    }
}

fn is_unfinished(name: &str) -> bool {
    let stem = name.strip_suffix(UNFINISHED);
    let mut parts = stem.unwrap_or_default().rsplitn(3, '.');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    is_number(parts.next()) && is_number(parts.next()) && parts.next().is_some_and(is_cache_file)
}

fn is_older(time: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(time).is_ok_and(|since| since > age)
}

fn note_use(file: &File, metadata: &Metadata) {
    let now = SystemTime::now();
    if metadata.modified().is_ok_and(|modified| is_older(modified, now, USE_NOTED_EVERY)) {
        // On a file system that is read-only nothing is pruned either.
        let _ = file.set_modified(now);
    }
}

/// Whether a folder is there, is this user's, and can be written by nobody else.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    // SAFETY: takes nothing, and cannot fail.
    let user = unsafe { libc::geteuid() };
    std::fs::metadata(path).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o022 == 0
    })
}

#[cfg(not(unix))]
fn is_ours(path: &Path) -> bool {
    path.is_dir()
}

#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(unix)]
fn create(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(all(test, unix))]
#[allow(clippy::arithmetic_side_effects, clippy::unwrap_used)] // helpers of tests
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LIMITS: FolderLimits = FolderLimits { file_bytes: 100, total_bytes: 400, files: 10 };

    fn name(number: u32) -> String {
        format!("{number:02x}-0123456789abcdef.symbols")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn set_age(path: &Path, age: Duration) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn the_folder_is_made_for_its_owner_only_and_by_writing_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let folder = Folder::new(path.clone(), LIMITS);
        assert_eq!(folder.read(&name(1)), None);
        assert!(!path.exists());
        let folder = Folder::new(path.clone(), LIMITS);
        folder.write(&name(1), b"bytes");
        assert_eq!(folder.read(&name(1)).unwrap(), b"bytes");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(name(1)))), (0o700, 0o600));
        assert_eq!(names(&path), [name(1)], "nothing unfinished is left");
    }

    #[test]
    fn what_others_can_write_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        Folder::new(dir.path().to_owned(), LIMITS).write(&name(1), b"bytes");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
        let folder = Folder::new(dir.path().to_owned(), LIMITS);
        assert_eq!(folder.read(&name(1)), None);
        folder.write(&name(2), b"bytes");
        assert_eq!(names(dir.path()), [name(1)]);
    }

    #[test]
    fn places_that_cannot_be_a_folder_are_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        for path in [file.clone(), file.join("below"), PathBuf::from("/proc/self/lastwords")] {
            let folder = Folder::new(path, LIMITS);
            folder.write(&name(1), b"bytes");
            assert_eq!(folder.read(&name(1)), None);
            folder.prune();
        }
    }

    #[test]
    fn large_files_links_and_pipes_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |number| dir.path().join(name(number));
        std::fs::write(at(1), [0; 101]).unwrap();
        std::fs::write(at(2), [0; 100]).unwrap();
        std::os::unix::fs::symlink(at(2), at(3)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at(4)).status().unwrap().success());
        let folder = Folder::new(dir.path().to_owned(), LIMITS);
        let readable = [1, 2, 3, 4].map(|number| folder.read(&name(number)).is_some());
        assert_eq!(readable, [false, true, false, false]);
    }

    #[test]
    fn the_files_that_were_not_used_for_longest_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned(), LIMITS);
        for number in 1..=5 {
            folder.write(&name(number), &[0; 100]);
            set_age(&dir.path().join(name(number)), Duration::from_secs(7200 * u64::from(number)));
        }
        std::fs::write(dir.path().join("notes.txt"), [0; 1000]).unwrap();
        assert!(folder.read(&name(5)).is_some(), "a use is noted");
        folder.prune();
        assert_eq!(names(dir.path()), [name(1), name(2), name(5), "notes.txt".to_owned()]);
        folder.prune();
        assert_eq!(names(dir.path()).len(), 4, "300 of 400 bytes are no reason");
    }

    #[test]
    fn too_many_files_are_removed_and_unfinished_ones_when_they_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned(), LIMITS);
        for number in 0..11 {
            folder.write(&name(number), b"");
        }
        let unfinished =
            |number: u32| dir.path().join(format!("{}.7.{number}{UNFINISHED}", name(1)));
        std::fs::write(unfinished(1), b"").unwrap();
        std::fs::write(unfinished(2), b"").unwrap();
        set_age(&unfinished(2), ABANDONED_AFTER * 2);
        folder.prune();
        assert!(unfinished(1).exists() && !unfinished(2).exists());
        assert_eq!(names(dir.path()).len(), 8 + 1);
    }
}
