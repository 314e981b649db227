//! Answers of earlier runs, on disk: a second look at the same build opens none of its files.
//!
//! Format: `layout.rs`, `docs/formats/symbol-cache.md`. A file holds what was asked about one module with
//! one list of sources (`key.rs`), and what the search for its files looked at (`probes.rs`): it is used
//! while all of that is as it was. What is missing, damaged or out of date is as if it was not there.

mod answers;
mod draft;
mod fnv;
mod folder;
mod key;
mod layout;
mod probes;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub(crate) use answers::Answers;
pub use answers::{Answer, Question};
pub(crate) use draft::{DraftLimits, Facts};
pub(crate) use fnv::Fnv;
pub(crate) use key::Key;
pub(crate) use layout::View;
pub(crate) use probes::{FileIdentity, Probe, Probes, Stamp};

use crate::catalog::Catalog;
use draft::Draft;
use folder::{Folder, FolderLimits};

/// Of one module: all code that a program's crashes ever touch fits into a fraction of it.
const MAX_FILE_BYTES: usize = 2 << 20;
const MAX_ENTRIES: usize = 16 << 10;
const MAX_TOTAL_BYTES: u64 = 256 << 20;
const MAX_FILES: usize = 8 << 10;

/// The cache of one process.
pub(crate) struct Cache {
    folder: Folder,
    limits: DraftLimits,
}

impl Cache {
    /// Looks at nothing yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self::with_limits(path, DraftLimits { file_bytes: MAX_FILE_BYTES, entries: MAX_ENTRIES })
    }

    fn with_limits(path: PathBuf, limits: DraftLimits) -> Self {
        let of_folder = FolderLimits {
            file_bytes: limits.file_bytes,
            total_bytes: MAX_TOTAL_BYTES,
            files: MAX_FILES,
        };
        Self { folder: Folder::new(path, of_folder), limits }
    }

    /// The answers of earlier runs about one module, if they hold now.
    pub(crate) fn load(&self, key: &Key, catalog: &Catalog) -> Option<View> {
        let view = self.read(key)?;
        let holds = view.probes()?.iter().all(Probe::holds);
        view.status().filter(|_| holds)?;
        if let Some(fingerprint) = view.index_fingerprint() {
            let problems = view.problems()?;
            if catalog.fingerprint() != Some(fingerprint) {
                return None;
            }
            catalog.adopt_index_problems(problems);
        }
        Some(view)
    }

    /// Whether there is a file, of whatever worth.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.folder.has(&key.file_name)
    }

    fn read(&self, key: &Key) -> Option<View> {
        let view = View::parse(self.folder.read(&key.file_name)?)?;
        (view.key() == key.bytes).then_some(view)
    }

    /// Writes the answers of this run together with those that another process has written
    /// meanwhile, and with those that were loaded.
    pub(crate) fn keep(&self, key: &Key, facts: Facts<'_>, answers: &Answers) {
        let current = self.read(key).filter(|view| facts.is_told_by(view));
        let theirs = current.as_ref().and_then(View::judged_status);
        let judged_status = facts.judged_status.or(theirs.as_ref());
        let facts = Facts { judged_status, ..facts };
        let Some(mut draft) = Draft::new(&facts, self.limits) else { return };
        answers.write(&mut draft);
        if let Some(view) = current.as_ref().or(answers.stored()) {
            copy(view, &mut draft);
        }
        if let Some(bytes) = draft.finish() {
            self.folder.write(&key.file_name, &bytes);
        }
    }

    /// Forgets what is kept of a module.
    pub(crate) fn forget(&self, key: &Key) {
        self.folder.remove(&key.file_name);
    }

    /// Keeps the folder small; to be called after something was written.
    pub(crate) fn prune(&self) {
        self.folder.prune();
    }
}

/// Copies what can be read; what is there already stays.
fn copy(view: &View, draft: &mut Draft) {
    for (question, rva, record) in view.entries() {
        if question != layout::SYMBOLICATION {
            draft.add(question, rva, record);
        } else if let Some(found) = view.symbolication(record) {
            draft.add_symbolication(rva, &found);
        }
    }
}
