//! `str` and `bytes` of the target, of which no evidence is kept.

use std::rc::Rc;

use super::{Reader, implausible, plausible};
use crate::layout::values::{BYTEARRAY_START, SIZE};
use crate::source::Fault;

/// Longest name that is compared with names looked for.
const MAX_NAME: usize = 128;
/// Longest module or qualified name of a type.
const MAX_SHORT: usize = 512;

/// A text, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub text: String,
    /// Whether there is more.
    pub is_cut: bool,
}

/// Bytes, or the beginning of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes {
    pub bytes: Vec<u8>,
    /// Whether there is more.
    pub is_cut: bool,
}

impl Reader<'_> {
    /// The `str` at `address`, whose type is known, up to `max` characters. Lone surrogates
    /// become U+FFFD.
    pub(super) fn text(&mut self, address: u64, max: usize) -> Result<Text, Fault> {
        let unicode = self.frames.objects.layout.unicode;
        let record = self.object(address, &[unicode.state, unicode.length])?;
        let length = record.get(unicode.length)?;
        let length = plausible(length).ok_or_else(|| length_fault(address, length))?;
        let state = record.get(unicode.state)?;
        let (kind, is_compact) = (state >> 2 & 7, state >> 5 & 1 == 1);
        let width = match usize::try_from(kind) {
            Ok(width @ (1 | 2 | 4)) if is_compact => width,
            _ => return Err(implausible("state of a str", address, state & 0xff, "a compact one")),
        };
        let is_ascii = state >> 6 & 1 == 1;
        let data = if is_ascii { unicode.ascii_data } else { unicode.compact_data };
        let size = length.min(max).saturating_mul(width);
        let bytes = self.source().unrecorded(address.saturating_add(data), size)?;
        let text = bytes.chunks_exact(width).map(character).collect();
        Ok(Text { text, is_cut: length > max })
    }

    /// The `str` at `address`, if it is one.
    pub(super) fn exact_text(&mut self, address: u64, max: usize) -> Result<Text, Fault> {
        let of = self.type_of(address)?;
        if of.built_in() == "str" {
            return self.text(address, max);
        }
        Err(implausible("the type of an object", address, of.address, "str"))
    }

    /// A name that is not longer than names are.
    pub(super) fn short_text(&mut self, address: u64) -> Result<String, Fault> {
        Ok(self.exact_text(address, MAX_SHORT)?.text)
    }

    /// The name at `address`; `None` when it is no `str` or too long. Names are read once: the
    /// interpreter interns them, so many dicts share them.
    pub(super) fn name(&mut self, address: u64) -> Option<Rc<str>> {
        if let Some(known) = self.names.get(&address) {
            return known.clone();
        }
        let text = self.exact_text(address, MAX_NAME).ok().filter(|text| !text.is_cut);
        let name: Option<Rc<str>> = text.map(|text| text.text.into());
        self.names.insert(address, name.clone());
        name
    }

    /// The `bytes` at `address`, whose type is known, up to `max` bytes.
    pub(super) fn byte_string(&mut self, address: u64, max: usize) -> Result<Bytes, Fault> {
        let start = address.saturating_add(self.frames.objects.layout.bytes_data);
        let length = self.field(address, SIZE)?;
        self.bytes_at(address, start, length, max)
    }

    /// The `bytearray` at `address`, whose type is known, up to `max` bytes.
    pub(super) fn byte_array(&mut self, address: u64, max: usize) -> Result<Bytes, Fault> {
        let record = self.object(address, &[SIZE, BYTEARRAY_START])?;
        self.bytes_at(address, record.get(BYTEARRAY_START)?, record.get(SIZE)?, max)
    }

    fn bytes_at(
        &mut self,
        object: u64,
        start: u64,
        length: u64,
        max: usize,
    ) -> Result<Bytes, Fault> {
        let length = plausible(length).ok_or_else(|| length_fault(object, length))?;
        let bytes = match length.min(max) {
            0 => Vec::new(),
            size => self.source().unrecorded(start, size)?,
        };
        Ok(Bytes { bytes, is_cut: length > max })
    }
}

fn length_fault(address: u64, found: u64) -> Fault {
    implausible("length of an object", address, found, "less than 1 TiB")
}

fn character(bytes: &[u8]) -> char {
    let code = bytes.iter().rev().fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}
