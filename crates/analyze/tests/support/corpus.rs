//! The corpus of real dumps, and its manifest.
#![allow(dead_code)] // every test file uses a part

use std::path::{Path, PathBuf};

/// See `lastwords_synth::corpus`.
pub fn corpus() -> Option<PathBuf> {
    lastwords_synth::corpus(Path::new(env!("CARGO_TARGET_TMPDIR")))
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
