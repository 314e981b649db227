//! The corpus of real symbol files, unpacked once.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The unpacked corpus; `None`, with the reason on stderr, when there is none on this machine.
///
/// `LASTWORDS_CORPUS` names the archive or an unpacked folder; else it is
/// `../shared/corpus/corpus.tar.xz` beside the repository.
pub fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/corpus.tar.xz");
    let source = std::env::var_os("LASTWORDS_CORPUS").map_or(beside, PathBuf::from);
    if source.is_dir() {
        return Some(source);
    }
    let Ok(metadata) = source.metadata() else {
        eprintln!("skipped: no corpus at {}; set LASTWORDS_CORPUS", source.display());
        return None;
    };
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let unpacked = cache.join(format!("corpus-{}", metadata.len()));
    if !unpacked.is_dir() {
        let partial = tempfile::tempdir_in(cache).unwrap();
        let tar =
            Command::new("tar").arg("-xf").arg(&source).arg("-C").arg(partial.path()).status();
        assert!(tar.unwrap().success(), "tar cannot unpack {}", source.display());
        // Another test may have been faster: then its copy is used.
        let _ = std::fs::rename(partial.keep(), &unpacked);
    }
    Some(unpacked)
}
