//! The corpus of real symbol files, and what tests compare.
#![allow(dead_code, reason = "each test uses a part")]

pub mod frames;

use std::path::{Path, PathBuf};

/// See `lastwords_synth::corpus`.
pub fn corpus() -> Option<PathBuf> {
    lastwords_synth::corpus(Path::new(env!("CARGO_TARGET_TMPDIR")))
}
