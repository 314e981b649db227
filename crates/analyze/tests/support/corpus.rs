//! The corpus of real dumps, unpacked once, and its manifest.

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

/// A file of the corpus, as far as the tests choose by it.
pub struct Row {
    pub file: String,
    pub kind: &'static str,
    pub format: &'static str,
}

impl Row {
    /// The path below `files/`.
    pub fn tail(&self) -> &str {
        self.file.strip_prefix("files/").unwrap()
    }
}

/// The files below `root`, told apart by what they are: MANIFEST.tsv lies beside the archive.
pub fn rows(root: &Path) -> Vec<Row> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/MANIFEST.tsv");
    let own = root.join("MANIFEST.tsv");
    let text = std::fs::read_to_string(if own.is_file() { own } else { beside }).unwrap();
    let parse = |line: &str| {
        let parts: Vec<_> = line.split('\t').collect();
        let [kind, format] = [parts[8], parts[9]].map(|word| &*word.to_owned().leak());
        Row { file: parts[0].to_owned(), kind, format }
    };
    text.lines().skip(1).map(parse).collect()
}
