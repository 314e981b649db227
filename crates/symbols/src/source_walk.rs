//! The walk over all files of the symbol sources, within limits.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cache::{FileIdentity, Fnv, Stamp};
use crate::status::SourceProblem;

/// Files and folders looked at in all sources together.
const MAX_ENTRIES: usize = 200_000;
/// Folders below each other.
const MAX_DEPTH: usize = 16;

/// Goes through folders and sums up what it sees there, so that a later walk tells whether
/// anything has changed.
pub(crate) struct SourceWalk {
    left: usize,
    /// What could not be used.
    pub(crate) problems: Vec<SourceProblem>,
    hash: Fnv,
    is_settled: bool,
    started: SystemTime,
}

/// Says whether a file holds symbols.
type Visit<'a> = &'a mut dyn FnMut(&Path) -> bool;

impl SourceWalk {
    pub(crate) fn new() -> Self {
        Self {
            left: MAX_ENTRIES,
            problems: Vec::new(),
            hash: Fnv::new(),
            is_settled: true,
            started: SystemTime::now(),
        }
    }

    /// Shows every file to `visit`, in an order that depends on names only.
    pub(crate) fn visit_all(&mut self, sources: &[PathBuf], visit: Visit<'_>) {
        for source in sources {
            self.visit(source, 0, visit);
        }
        if self.left == 0 {
            let message = format!("only the first {MAX_ENTRIES} files of the sources were read");
            self.problems.push(SourceProblem { path: PathBuf::new(), message });
        }
    }

    /// A number that is another one when any file was changed; `None` when one has changed so
    /// recently that it might again without a trace.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        self.is_settled.then(|| self.hash.finish())
    }

    fn visit(&mut self, path: &Path, depth: usize, visit: Visit<'_>) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        self.hash.write(path.as_os_str().as_encoded_bytes());
        let itself = path.symlink_metadata().ok();
        self.note(itself.as_ref());
        let is_link = itself.as_ref().is_some_and(Metadata::is_symlink);
        let target = if is_link { path.metadata().ok() } else { itself };
        if is_link {
            self.note(target.as_ref());
        }
        // Links to folders could make circles; links to files are what .build-id trees hold.
        let is_folder = target.as_ref().is_some_and(Metadata::is_dir);
        if is_folder && (depth == 0 || !is_link) {
            self.visit_folder(path, depth, visit);
        } else if !visit(path) && depth == 0 && target.is_some() {
            self.problem(path, "neither an ELF file nor a Breakpad .sym file");
        }
    }

    fn visit_folder(&mut self, path: &Path, depth: usize, visit: Visit<'_>) {
        if depth >= MAX_DEPTH {
            return self.problem(path, "deeper than 16 folders, not read");
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.problem(path, &format!("cannot be listed: {error}")),
        };
        let mut paths: Vec<_> =
            entries.flatten().take(self.left).map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            self.visit(&path, depth.saturating_add(1), visit);
        }
    }

    fn note(&mut self, metadata: Option<&Metadata>) {
        let Some(metadata) = metadata else { return self.hash.write(&[0]) };
        let identity = FileIdentity::from_metadata(metadata);
        self.is_settled &= identity.is_settled(self.started);
        self.hash.write(&[1]);
        self.hash.write(&identity.mode.to_le_bytes());
        self.hash.write(&identity.size_bytes.to_le_bytes());
        self.hash.write(&identity.inode.to_le_bytes());
        self.note_stamp(identity.modified);
        self.note_stamp(identity.changed);
    }

    fn note_stamp(&mut self, (seconds, nanoseconds): Stamp) {
        self.hash.write(&seconds.to_le_bytes());
        self.hash.write(&nanoseconds.to_le_bytes());
    }

    fn problem(&mut self, path: &Path, message: &str) {
        self.problems.push(SourceProblem { path: path.to_owned(), message: message.to_owned() });
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)] // helpers of tests
mod tests {
    use super::*;

    fn fingerprint(folder: &Path) -> Option<u64> {
        let mut walk = SourceWalk::new();
        walk.visit_all(&[folder.to_owned()], &mut |_| true);
        walk.fingerprint()
    }

    #[test]
    fn each_change_below_a_folder_changes_the_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("symbols");
        let (file, link) = (folder.join("deep/a"), folder.join("link"));
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::write(dir.path().join("target"), "1").unwrap();
        let changes: [&dyn Fn(); 6] = [
            &|| (),
            &|| std::fs::write(&file, "1").unwrap(),
            &|| std::fs::write(&file, "2").unwrap(),
            &|| std::os::unix::fs::symlink(dir.path().join("target"), &link).unwrap(),
            &|| std::fs::write(dir.path().join("target"), "2").unwrap(),
            &|| std::fs::rename(&file, folder.join("deep/b")).unwrap(),
        ];
        let mut seen = Vec::new();
        for change in changes {
            change();
            lastwords_synth::settle(dir.path());
            let now = fingerprint(&folder).unwrap();
            assert_eq!(fingerprint(&folder), Some(now));
            assert!(!seen.contains(&now), "change {}", seen.len());
            seen.push(now);
        }
    }

    #[test]
    fn a_folder_that_has_just_changed_has_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        // On a slow machine the walk may begin too late.
        loop {
            std::fs::write(dir.path().join("a"), "1").unwrap();
            if fingerprint(dir.path()).is_none() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "it has one every time");
        }
    }
}
