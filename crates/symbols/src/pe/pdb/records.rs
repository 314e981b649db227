//! CodeView symbol records, as far as functions and inlining need them.
//!
//! A record: 2 size (of what follows), 2 kind, then (offsets from the record's start):
//!
//! | kind | offset: field |
//! |---|---|
//! | `S_*PROC32*` | 4 parent, 8 end, 12 next, 16 size, 20 and 24 debug start and end, 28 type, 32 offset, 36 section, 38 flags, 39 name |
//! | `S_THUNK32` | 4 parent, 8 end, 12 next, 16 offset, 20 section, 22 size (2), 24 ordinal (1), 25 name |
//! | `S_SEPCODE` | 4 parent, 8 end, 12 size, 16 flags, 20 offset, 24 parent's offset, 28 section, 30 parent's section |
//! | `S_INLINESITE` | 4 parent, 8 end, 12 inlinee, 16 annotations |
//! | `S_INLINESITE2` | 4 parent, 8 end, 12 inlinee, 16 invocations, 20 annotations |
//! | `S_PUB32` | 4 flags, 8 offset, 12 section, 14 name |
//!
//! Parent, end and next are offsets in the module's stream. Source: Microsoft, `cvinfo.h`.

use crate::bytes::{size_at, text_at, u16_at, u32_at};

/// Size and kind.
const HEAD_BYTES: usize = 4;
const THUNK: u16 = 0x1102;
const SEPARATED_CODE: u16 = 0x1132;
const PUBLIC: u16 = 0x110e;
/// Global and local functions; the same with identifiers instead of types; with deferred
/// procedure calls.
const PROCEDURES: [u16; 6] = [0x110f, 0x1110, 0x1146, 0x1147, 0x1155, 0x1156];
const INLINE_SITE: u16 = 0x114d;
const INLINE_SITE_2: u16 = 0x115d;

/// One record: where it starts in its stream, and its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) offset: usize,
    pub(crate) kind: u16,
    bytes: &'a [u8],
}

/// Goes through records; ends at the first malformed one.
pub(crate) struct Records<'a> {
    stream: &'a [u8],
    at: usize,
    end: usize,
}

/// A function, or a part of one, with code of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Procedure {
    pub(crate) section: u16,
    pub(crate) offset: u32,
    pub(crate) size_bytes: u32,
    /// Where its record starts.
    pub(crate) record: usize,
    /// Where the records inside of it end.
    pub(crate) end: usize,
    /// Address of the function that this is a separate part of.
    pub(crate) parent: Option<(u16, u32)>,
    name_at: usize,
}

/// A call that was inlined.
#[derive(Clone, Copy)]
pub(crate) struct InlineSite<'a> {
    pub(crate) inlinee: u32,
    /// Where the records inside of it end.
    pub(crate) end: usize,
    pub(crate) annotations: &'a [u8],
}

/// A public symbol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Public<'a> {
    pub(crate) section: u16,
    pub(crate) offset: u32,
    pub(crate) name: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records from `start` to `end` of a stream.
    pub(crate) fn new(stream: &'a [u8], start: usize, end: usize) -> Self {
        Self { stream, at: start, end: end.min(stream.len()) }
    }

    /// Goes on behind the record at an offset; never backwards.
    pub(crate) fn skip_to(&mut self, offset: usize) {
        self.at = self.at.max(offset);
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let record = Record::at(self.stream, self.at)?;
        let next = self.at.checked_add(record.bytes.len())?;
        if next > self.end {
            return None;
        }
        self.at = next;
        Some(record)
    }
}

impl<'a> Record<'a> {
    /// The record at an offset.
    pub(crate) fn at(stream: &'a [u8], offset: usize) -> Option<Self> {
        let size = usize::from(u16_at(stream, offset)?);
        let bytes = stream.get(offset..offset.checked_add(size)?.checked_add(2)?)?;
        let kind = u16_at(bytes, 2)?;
        (bytes.len() >= HEAD_BYTES).then_some(Self { offset, kind, bytes })
    }

    pub(crate) fn procedure(&self) -> Option<Procedure> {
        let bytes = self.bytes;
        let (size_bytes, offset, section, name_at) = match self.kind {
            kind if PROCEDURES.contains(&kind) => {
                (u32_at(bytes, 16)?, u32_at(bytes, 32)?, u16_at(bytes, 36)?, 39)
            }
            THUNK => (u32::from(u16_at(bytes, 22)?), u32_at(bytes, 16)?, u16_at(bytes, 20)?, 25),
            SEPARATED_CODE => {
                (u32_at(bytes, 12)?, u32_at(bytes, 20)?, u16_at(bytes, 28)?, bytes.len())
            }
            _ => return None,
        };
        let parent = match self.kind {
            SEPARATED_CODE => Some((u16_at(bytes, 30)?, u32_at(bytes, 24)?)),
            _ => None,
        };
        let (record, end) = (self.offset, size_at(bytes, 8)?);
        Some(Procedure { section, offset, size_bytes, record, end, parent, name_at })
    }

    pub(crate) fn inline_site(&self) -> Option<InlineSite<'a>> {
        let annotations_at = match self.kind {
            INLINE_SITE => 16,
            INLINE_SITE_2 => 20,
            _ => return None,
        };
        Some(InlineSite {
            inlinee: u32_at(self.bytes, 12)?,
            end: size_at(self.bytes, 8)?,
            annotations: self.bytes.get(annotations_at..)?,
        })
    }

    pub(crate) fn public(&self) -> Option<Public<'a>> {
        let name = text_at(self.bytes, 14).filter(|_| self.kind == PUBLIC)?;
        Some(Public { section: u16_at(self.bytes, 12)?, offset: u32_at(self.bytes, 8)?, name })
    }
}

impl Procedure {
    /// Its name in the stream of its record; `None` for separate parts.
    pub(crate) fn name<'a>(&self, stream: &'a [u8]) -> Option<&'a [u8]> {
        let record = Record::at(stream, self.record)?;
        text_at(record.bytes, self.name_at).filter(|name| !name.is_empty())
    }

    pub(crate) fn holds(&self, section: u16, offset: u32) -> bool {
        let within = offset.checked_sub(self.offset);
        self.section == section && within.is_some_and(|within| within < self.size_bytes)
    }
}
