//! Stream 1 of a PDB, its identity, and the streams that have names.
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | version | 20000404 and later have a GUID |
//! | 4 | 4 | signature | time stamp |
//! | 8 | 4 | age | may be raised after linking; the DBI stream has the image's |
//! | 12 | 16 | GUID | |
//! | 28 | 4 + n | names | size, then zero-ended names |
//! | … | 8 | table | entries, capacity |
//! | … | 4 + 4n, twice | bit vectors | words, then which slots are used; which are deleted |
//! | … | 8 each | slots used | offset in the names, stream number |
//!
//! Source: LLVM documentation, "The PDB Info Stream".

use crate::bytes::{size_at, slice_at, text_at, u32_at};

const FIRST_VERSION_WITH_GUID: u32 = 20_000_404;
const NAMES_OFFSET: usize = 28;
/// Named streams; linkers write some ten, source servers one more.
const MAX_NAMES: usize = 4096;

/// What identifies a PDB.
pub(crate) struct Info {
    pub(crate) guid: [u8; 16],
    pub(crate) age: u32,
}

impl Info {
    /// `None` when the stream is cut, or older than GUIDs.
    pub(crate) fn parse(stream: &[u8]) -> Option<Self> {
        let is_known = u32_at(stream, 0)? >= FIRST_VERSION_WITH_GUID;
        let guid = slice_at(stream, 12, 16)?.try_into().ok()?;
        is_known.then_some(Self { guid, age: u32_at(stream, 8)? })
    }
}

/// The number of the stream with a name.
pub(crate) fn named_stream(stream: &[u8], wanted: &[u8]) -> Option<usize> {
    let (_, index) = named_streams(stream)?.find(|(name, _)| *name == wanted)?;
    Some(index)
}

/// Names and numbers of the streams that have names.
pub(crate) fn named_streams(stream: &[u8]) -> Option<impl Iterator<Item = (&[u8], usize)>> {
    let names_bytes = size_at(stream, NAMES_OFFSET)?;
    let names_start = NAMES_OFFSET.checked_add(4)?;
    let names = slice_at(stream, names_start, names_bytes)?;
    let table = names_start.checked_add(names_bytes)?;
    let count = size_at(stream, table)?.min(MAX_NAMES);
    let after_used = after_words(stream, table.checked_add(8)?)?;
    let slots = stream.get(after_words(stream, after_used)?..)?;
    let named = slots.chunks_exact(8).take(count);
    Some(
        named.filter_map(move |slot| Some((text_at(names, size_at(slot, 0)?)?, size_at(slot, 4)?))),
    )
}

/// Behind a bit vector.
fn after_words(stream: &[u8], at: usize) -> Option<usize> {
    let words = size_at(stream, at)?;
    at.checked_add(4)?.checked_add(words.checked_mul(4)?)
}
