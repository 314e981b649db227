//! What can go wrong: [`Error`] when nothing was read, [`SoftError`] when something is missing.

use thiserror::Error as ThisError;

use crate::memory::MemoryError;

/// Nothing of the interpreter could be read.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// No layout is known for this version of CPython.
    #[error(
        "no layout is known for CPython {}.{} (PY_VERSION_HEX {version:#010x}): \
         3.9 to 3.15 are, from their release candidates on, and others whose _Py_DebugOffsets \
         have the shape of one of them", version >> 24, (version >> 16) & 0xff
    )]
    UnsupportedVersion {
        /// `PY_VERSION_HEX` of the target.
        version: u32,
    },
    /// The memory at `_PyRuntime` cannot be read.
    #[error("_PyRuntime cannot be read: {0}")]
    Memory(#[from] MemoryError),
    /// A limit was reached before the first thread.
    #[error("the limit of {what} is reached before any thread was read")]
    LimitReached {
        /// Field of [`crate::Limits`].
        what: &'static str,
    },
    /// What was read is not what the layout says.
    #[error("{what} at {address:#x}: found {found:#x}, expected {expected}")]
    Implausible {
        /// The field.
        what: &'static str,
        /// Where it was read.
        address: u64,
        /// Its value.
        found: u64,
        /// What was expected.
        expected: &'static str,
    },
}

/// Something that could not be had; the rest of the outcome stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftError {
    /// Stable name, one of [`crate::SOFT_ERROR_CODES`].
    pub code: &'static str,
    /// Which thread, frame or object, with its address.
    pub where_: String,
    /// What happened, and what was expected.
    pub message: String,
}
