//! What the caller of an analysis may choose.

use std::path::PathBuf;

use serde::Deserialize;

use crate::Error;

/// Frames kept for one thread unless told otherwise.
pub const DEFAULT_MAX_FRAMES: usize = 4_096;

/// Dumps up to this size are read whole unless told otherwise.
pub const DEFAULT_MAX_WHOLE_BYTES: u64 = 256 << 20;

/// The options of `docs/formats/analysis.md`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Symbol sources, searched in this order.
    pub symbols: Vec<PathBuf>,
    /// Whether module files named in the dump may be read from this machine.
    pub local_modules: bool,
    /// Whether native stacks are walked; without them, Python frames stand alone. A dump without
    /// Python is walked in any case.
    pub native: bool,
    /// Whether values of Python's variables are read from the memory in the dump, where its writer
    /// did not tell them.
    pub locals: bool,
    /// Folder in which answers about symbols are kept for the next analysis; `None` keeps nothing.
    pub cache_dir: Option<PathBuf>,
    /// Frames kept for one thread: the newest and the oldest ones of a longer stack.
    pub max_frames: usize,
    /// Of larger files with a list of 64-bit memory only what stacks need of it is read.
    pub max_whole_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            symbols: Vec::new(),
            local_modules: true,
            native: true,
            locals: false,
            cache_dir: None,
            max_frames: DEFAULT_MAX_FRAMES,
            max_whole_bytes: DEFAULT_MAX_WHOLE_BYTES,
        }
    }
}

impl Options {
    /// Reads options from JSON; nothing at all means the defaults.
    ///
    /// # Errors
    /// [`Error::Options`] for what is not JSON, has unknown keys or wrong types.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(json).map_err(|error| Error::Options { reason: error.to_string() })
    }
}
