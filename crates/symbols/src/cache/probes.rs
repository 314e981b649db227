//! What the search for a module's files looked at: while all of it is as it was, the search
//! would find the same, and its answers hold.
//!
//! Paths where nothing was count too: a debug file that is installed later is a better answer.

use std::cell::{Cell, RefCell};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::file::{Links, MappedFile, OpenError};

/// Paths that one module's search may look at and still be kept; split DWARF has one a unit.
pub(crate) const MAX_PROBES: usize = 1024;
/// A file that changed so shortly before it was looked at may change again within the same tick
/// of the file system's clock (4 to 10 ms on Linux), unseen.
const TICK: Duration = Duration::from_millis(50);
/// The same, where time stamps are whole seconds (FAT: two of them).
const COARSE_TICK: Duration = Duration::from_secs(2);

/// A point in time, as file systems keep it: seconds since 1970, and nanoseconds.
pub(crate) type Stamp = (i64, u32);

/// What tells that a path still leads to the same bytes.
///
/// The time of the last change of the inode catches what size and time of modification do not: builds
/// that set all times to one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    pub(crate) mode: u32,
    pub(crate) size_bytes: u64,
    pub(crate) inode: u64,
    pub(crate) modified: Stamp,
    pub(crate) changed: Stamp,
}

impl FileIdentity {
    /// `None` when there is nothing, or nothing that may be seen.
    pub(crate) fn of(path: &Path, links: Links) -> Option<Self> {
        let metadata = match links {
            Links::Follow => std::fs::metadata(path),
            Links::Refuse => std::fs::symlink_metadata(path),
        };
        metadata.ok().map(|metadata| Self::from_metadata(&metadata))
    }

    #[cfg(unix)]
    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        let nanoseconds = |value: i64| u32::try_from(value).unwrap_or_default();
        Self {
            mode: metadata.mode(),
            size_bytes: metadata.size(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
            changed: (metadata.ctime(), nanoseconds(metadata.ctime_nsec())),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok();
        let since = since.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let since = since.unwrap_or_default();
        let modified = (i64::try_from(since.as_secs()).unwrap_or_default(), since.subsec_nanos());
        Self {
            mode: u32::from(metadata.is_file()),
            size_bytes: metadata.len(),
            inode: 0,
            modified,
            changed: modified,
        }
    }

    /// Whether a later change is sure to be seen, at the time `now`.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let tick = if nanoseconds == 0 { COARSE_TICK } else { TICK };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(seconds).is_ok_and(|seconds| {
            let changed = Duration::new(seconds, nanoseconds.min(999_999_999));
            changed.saturating_add(tick) <= since
        })
    }
}

/// One path, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) path: PathBuf,
    pub(crate) links: Links,
    pub(crate) identity: Option<FileIdentity>,
}

impl Probe {
    /// Whether the path is what it was.
    pub(crate) fn holds(&self) -> bool {
        FileIdentity::of(&self.path, self.links) == self.identity
    }
}

/// The paths that one search looks at, in order.
#[derive(Default)]
pub(crate) struct Probes {
    is_recording: bool,
    probes: RefCell<Vec<Probe>>,
    is_useless: Cell<bool>,
    has_asked_index: Cell<bool>,
}

impl Probes {
    /// For a search whose result is kept.
    pub(crate) fn recording() -> Self {
        Self { is_recording: true, ..Self::default() }
    }

    /// For a search whose result is not kept: costs nothing.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Notes what `path` is; to be called right before it is opened or looked at, so that a change
    /// in between is taken for a later one.
    pub(crate) fn note(&self, path: &Path, links: Links) {
        if !self.is_recording || self.is_useless.get() {
            return;
        }
        let mut probes = self.probes.borrow_mut();
        let is_same =
            |probe: &Probe| probe.links == links && probe.path.as_os_str() == path.as_os_str();
        if probes.iter().any(is_same) {
            return;
        }
        let identity = FileIdentity::of(path, links);
        let is_settled = identity.is_none_or(|identity| identity.is_settled(SystemTime::now()));
        if probes.len() >= MAX_PROBES || !is_settled {
            self.is_useless.set(true);
            return;
        }
        probes.push(Probe { path: path.to_owned(), links, identity });
    }

    /// Opens a file that was noted. An error that does not come from the file (too many are open, no
    /// memory) makes the result one that is not kept.
    pub(crate) fn open(&self, path: &Path, links: Links) -> Result<Arc<MappedFile>, OpenError> {
        self.note(path, links);
        let opened = MappedFile::open(path, links);
        if let Err(OpenError::Io(error)) = &opened
            && !is_lasting(error)
        {
            self.is_useless.set(true);
        }
        opened
    }

    /// Whether something was noted that makes the result one that is not kept.
    pub(crate) fn is_useless(&self) -> bool {
        self.is_useless.get()
    }

    /// Notes that the index of all sources was asked.
    pub(crate) fn note_index(&self) {
        self.has_asked_index.set(true);
    }

    /// Whether the index of all sources was asked.
    pub(crate) fn has_asked_index(&self) -> bool {
        self.has_asked_index.get()
    }

    /// The paths; `None` when they do not tell whether the result holds.
    pub(crate) fn finish(self) -> Option<Vec<Probe>> {
        (self.is_recording && !self.is_useless.get()).then(|| self.probes.into_inner())
    }
}

/// Whether a path that is as it was gives the error again.
fn is_lasting(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidInput, NotADirectory, NotFound, PermissionDenied};

    let is_link = cfg!(unix) && error.raw_os_error() == Some(libc::ELOOP);
    is_link || matches!(error.kind(), NotFound | PermissionDenied | NotADirectory | InvalidInput)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::unwrap_used)] // helpers of tests
mod tests {
    use super::*;

    fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_settled() {
        let path = std::env::current_exe().unwrap();
        let mut identity = FileIdentity::of(&path, Links::Follow).unwrap();
        identity.changed = (1000, 5);
        assert!(!identity.is_settled(at(1000, 10)));
        assert!(!identity.is_settled(at(999, 0)), "a clock that was set back");
        assert!(identity.is_settled(at(1000, 50_000_005)));
        identity.changed = (1000, 0);
        assert!(!identity.is_settled(at(1001, 999_999_999)));
        assert!(identity.is_settled(at(1002, 0)));
        identity.changed = (-1, 0);
        assert!(!identity.is_settled(at(1002, 0)));
    }

    #[test]
    fn a_path_that_comes_goes_or_changes_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let probe =
            |links| Probe { path: path.clone(), links, identity: FileIdentity::of(&path, links) };
        let absent = probe(Links::Follow);
        assert!(absent.holds());
        std::fs::write(&path, b"1").unwrap();
        assert!(!absent.holds());
        let present = probe(Links::Refuse);
        assert!(present.holds());
        std::fs::write(&path, b"12").unwrap();
        assert!(!present.holds());
        let longer = probe(Links::Refuse);
        std::fs::remove_file(&path).unwrap();
        assert!(!longer.holds());
    }

    #[test]
    fn too_many_paths_are_not_kept() {
        let probes = Probes::recording();
        for number in 0..=MAX_PROBES {
            probes.note(Path::new(&format!("/nowhere/{number}")), Links::Follow);
            probes.note(Path::new(&format!("/nowhere/{number}")), Links::Follow);
        }
        assert!(probes.finish().is_none());
        assert!(Probes::none().finish().is_none());
        assert_eq!(Probes::recording().finish(), Some(Vec::new()));
    }
}
