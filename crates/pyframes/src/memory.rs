//! Where bytes come from: the border between this crate and the stopped process.

use std::fmt;
use std::ops::Range;

/// The memory of a stopped process, or of a recorded one.
///
/// Implementations read live processes (`process_vm_readv`, `/proc/PID/mem`), dumps or,
/// in tests, plain tables.
pub trait Memory {
    /// Fills `buffer` wholly with the bytes at `address`.
    ///
    /// # Errors
    /// [`MemoryError`] when any byte of the range cannot be read; `buffer` then holds nothing
    /// of use.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError>;

    /// As [`Memory::read`], for bytes that may hold what the program computes with: who remembers
    /// what was read must forget these.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read_unrecorded(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.read(address, buffer)
    }

    /// Tells that bytes which [`Memory::read_unrecorded`] gave are worth remembering after all.
    fn record(&self, range: Range<u64>) {
        let _ = range;
    }
}

/// A range that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryError {
    /// First byte that was asked for.
    pub address: u64,
    /// Bytes that were asked for.
    pub length: usize,
    /// Why, in the words of the source, e.g. `Bad address (os error 14)`.
    pub reason: String,
}

impl MemoryError {
    /// Names the range and the reason.
    #[must_use]
    pub fn new(address: u64, length: usize, reason: impl Into<String>) -> Self {
        Self { address, length, reason: reason.into() }
    }
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, length, reason } = self;
        write!(f, "{length} bytes at {address:#x} cannot be read: {reason}")
    }
}

impl std::error::Error for MemoryError {}

/// The smallest page there is.
const PAGE: u64 = 4096;

/// Reads up to `length` bytes from `address`, as far as they can be read: at once, or page by
/// page where that fails. Allocates `length` bytes, so callers bound it.
#[must_use]
pub fn read_available(memory: &dyn Memory, address: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    if memory.read(address, &mut bytes).is_ok() {
        return bytes;
    }
    let mut filled = 0_usize;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = address.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        let to_boundary = PAGE.saturating_sub(at % PAGE);
        let piece = rest.len().min(usize::try_from(to_boundary).unwrap_or(0));
        let Some(piece) = rest.get_mut(..piece) else { break };
        if memory.read(at, piece).is_err() {
            break;
        }
        filled = filled.saturating_add(piece.len());
    }
    bytes.truncate(filled);
    bytes
}
