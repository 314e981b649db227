//! dSYM bundles: `name.dSYM/Contents/Resources/DWARF/name`.

use std::path::{Path, PathBuf};

/// DWARF files of one bundle; there is one, of bundles of frameworks a few.
const MAX_FILES: usize = 64;

/// The DWARF files of the bundle at a path; empty when it is none.
pub(crate) fn dwarf_files(bundle: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(bundle.join("Contents/Resources/DWARF")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.flatten().take(MAX_FILES).map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The bundle that belongs beside an image.
pub(crate) fn beside(image: &Path) -> PathBuf {
    let mut path = image.as_os_str().to_owned();
    path.push(".dSYM");
    PathBuf::from(path)
}
