//! The corpus of real dumps and symbol files, unpacked once.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The unpacked corpus; `None`, with the reason on stderr, when there is none on this machine.
///
/// `LASTWORDS_CORPUS` names the archive or an unpacked folder; else it is
/// `../shared/corpus/corpus.tar.xz` beside the repository. It is unpacked below `cache`, which is
/// best a test's `CARGO_TARGET_TMPDIR`.
///
/// # Panics
/// When the archive cannot be unpacked.
#[must_use]
#[allow(clippy::panic)] // A test that cannot have its corpus ends here.
pub fn corpus(cache: &Path) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/corpus.tar.xz");
    let source = std::env::var_os("LASTWORDS_CORPUS").map_or(beside, PathBuf::from);
    if source.is_dir() {
        return Some(source);
    }
    let Ok(metadata) = source.metadata() else {
        eprintln!("skipped: no corpus at {}; set LASTWORDS_CORPUS", source.display());
        return None;
    };
    let unpacked = cache.join(format!("corpus-{}", metadata.len()));
    if !unpacked.is_dir() && unpack(&source, cache, &unpacked).is_none() {
        panic!("{} cannot be unpacked below {}", source.display(), cache.display());
    }
    Some(unpacked)
}

fn unpack(source: &Path, cache: &Path, unpacked: &Path) -> Option<()> {
    let partial = tempfile::tempdir_in(cache).ok()?;
    let tar = Command::new("tar").arg("-xf").arg(source).arg("-C").arg(partial.path()).status();
    tar.ok()?.success().then_some(())?;
    // Another test may have been faster: then its copy is used.
    let _ = std::fs::rename(partial.keep(), unpacked);
    unpacked.is_dir().then_some(())
}
