//! dSYM bundles: `name.dSYM/Contents/Resources/DWARF/name`.

use std::path::{Path, PathBuf};

use crate::cache::Probes;
use crate::file::Links;

/// DWARF files of one bundle; there is one, of bundles of frameworks a few.
const MAX_FILES: usize = 64;

/// The DWARF files of the bundle at a path; empty when it is none.
pub(crate) fn dwarf_files(bundle: &Path, probes: &Probes) -> Vec<PathBuf> {
    let folder = bundle.join("Contents/Resources/DWARF");
    // A folder changes with the files in it.
    probes.note(&folder, Links::Follow);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
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
