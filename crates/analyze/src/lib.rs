//! From a minidump file to one analysis document.
//!
//! Owns: the order of the work, the merge of native and Python stacks, the document
//! (`docs/formats/analysis.md`). Does not own: reading minidumps (`minidump`), unwinding
//! (`minidump-unwind`, `lastwords-unwind`), symbols (`lastwords-symbols`).
#![forbid(unsafe_code)]

mod error;
mod options;

use std::path::Path;

pub use error::{ERROR_CODES, Error};
pub use options::{DEFAULT_MAX_FRAMES, Options};

/// Analyses the minidump at `path`.
///
/// `options_json`: see [`Options`]; empty means the defaults. The result is one UTF-8 JSON
/// document, see `docs/formats/analysis.md`.
///
/// # Errors
/// [`Error`] when the file gives no analysis at all; what is partly missing is in the
/// document's `soft_errors`.
pub fn analyze_file(path: &Path, options_json: &[u8]) -> Result<Vec<u8>, Error> {
    let _options = Options::from_json(options_json)?;

    Err(Error::NotFound { path: path.to_owned() })
}
