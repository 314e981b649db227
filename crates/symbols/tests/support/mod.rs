//! The corpus of real symbol files.

use std::path::{Path, PathBuf};

/// See `lastwords_synth::corpus`.
pub fn corpus() -> Option<PathBuf> {
    lastwords_synth::corpus(Path::new(env!("CARGO_TARGET_TMPDIR")))
}
