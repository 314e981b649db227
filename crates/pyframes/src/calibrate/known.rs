//! What the checks see: the process's memory, what is known of it, and how they answer.

use super::truths::Truths;
use crate::memory::Memory;
use crate::paged_memory::PagedMemory;

/// What a check says of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What is read is what is known.
    Fits,
    /// It is something else, or cannot be read.
    Fails,
    /// Nothing is known that could be compared; or it is a zero, which stands in many places.
    Untold,
}

impl Verdict {
    /// Whether a word is the one that is known; a zero that is right says nothing.
    pub(super) fn of(read: Option<u64>, known: u64) -> Self {
        match (read == Some(known), known) {
            (true, 0) => Self::Untold,
            (true, _) => Self::Fits,
            (false, _) => Self::Fails,
        }
    }

    /// All of them: one that fails outweighs those that fit.
    pub(super) fn all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().fold(Self::Untold, |all, next| match (all, next) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Fits, _) | (_, Self::Fits) => Self::Fits,
            _ => Self::Untold,
        })
    }

    pub(super) fn from_bool(is_fitting: bool) -> Self {
        if is_fitting { Self::Fits } else { Self::Fails }
    }
}

/// The process, and what is known of it.
pub(super) struct Known<'m> {
    pub(super) memory: PagedMemory<'m>,
    pub(super) truths: &'m Truths,
}

impl Known<'_> {
    /// Eight bytes at `offset` of the structure at `base`; `None` for no structure.
    pub(super) fn word(&self, base: u64, offset: Option<u64>) -> Option<u64> {
        let mut bytes = [0; 8];
        self.fill(base, offset?, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Four bytes, signed.
    pub(super) fn int(&self, base: u64, offset: Option<u64>) -> Option<i32> {
        let mut bytes = [0; 4];
        self.fill(base, offset?, &mut bytes)?;
        Some(i32::from_le_bytes(bytes))
    }

    /// One byte.
    pub(super) fn byte(&self, base: u64, offset: Option<u64>) -> Option<u8> {
        let mut bytes = [0; 1];
        self.fill(base, offset?, &mut bytes)?;
        let [byte] = bytes;
        Some(byte)
    }

    /// Whether these bytes stand there.
    pub(super) fn holds(&self, base: u64, offset: Option<u64>, expected: &[u8]) -> Verdict {
        let mut bytes = vec![0; expected.len()];
        let read = offset.and_then(|offset| self.fill(base, offset, &mut bytes));
        Verdict::from_bool(read.is_some() && bytes == expected)
    }

    fn fill(&self, base: u64, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let address = base.checked_add(offset).filter(|_| base != 0)?;
        self.memory.read(address, buffer).ok()
    }
}
