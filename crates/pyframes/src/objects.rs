//! Types, strings and byte strings of the target, checked and cached.

use std::collections::HashMap;

use crate::layout::Layout;
use crate::source::{Fault, Source};

/// `Py_TPFLAGS_BASE_EXC_SUBCLASS`.
const IS_EXCEPTION_TYPE: u64 = 1 << 30;
/// Longest type name that is worth reading; names are dotted identifiers.
const MAX_TYPE_NAME: usize = 512;
/// Most names are shorter than what this leaves behind the header.
const STRING_READ_AHEAD: usize = 192;
const TABLE_READ_AHEAD: usize = 384;
/// Longer than any name or table: such a length is not one.
const ABSURD_LENGTH: u64 = 1 << 31;

/// Reads objects through a [`Source`].
pub(crate) struct Objects<'m> {
    pub source: Source<'m>,
    pub layout: Layout,
    max_string: usize,
    max_line_table: usize,
    type_names: HashMap<u64, Result<String, Fault>>,
    strings: HashMap<u64, Result<String, Fault>>,
}

impl<'m> Objects<'m> {
    pub fn new(source: Source<'m>, layout: Layout, limits: &crate::Limits) -> Self {
        Self {
            source,
            layout,
            max_string: limits.max_string,
            max_line_table: limits.max_line_table,
            type_names: HashMap::new(),
            strings: HashMap::new(),
        }
    }

    /// Refuses an object whose type is not the built-in `expected`.
    pub fn expect_type(
        &mut self,
        object: u64,
        type_address: u64,
        expected: &'static str,
    ) -> Result<(), Fault> {
        if self.type_name(type_address)? == expected {
            return Ok(());
        }
        let what = "the type of an object";
        Err(Fault::Implausible { what, address: object, found: type_address, expected })
    }

    /// `tp_name` of the type at `address`.
    fn type_name(&mut self, address: u64) -> Result<String, Fault> {
        if let Some(known) = self.type_names.get(&address) {
            return known.clone();
        }
        let name = self.read_type_name(address);
        self.type_names.insert(address, name.clone());
        name
    }

    fn read_type_name(&mut self, address: u64) -> Result<String, Fault> {
        let name = self.layout.type_name;
        let pointer = self.source.record(address, &[name])?.get(name)?;
        self.source.c_string(pointer, MAX_TYPE_NAME)
    }

    /// Name of the exception type at `address`.
    pub fn exception_type_name(&mut self, address: u64) -> Result<String, Fault> {
        let (name, flags) = (self.layout.type_name, self.layout.type_flags);
        let record = self.source.record(address, &[name, flags])?;
        let found = record.get(flags)?;
        if found & IS_EXCEPTION_TYPE == 0 {
            let expected = "flags of an exception type";
            return Err(Fault::Implausible { what: "tp_flags", address, found, expected });
        }
        self.source.c_string(record.get(name)?, MAX_TYPE_NAME)
    }

    /// Type of the object at `address`.
    pub fn type_of(&mut self, address: u64) -> Result<u64, Fault> {
        let object_type = self.layout.object_type;
        self.source.record(address, &[object_type])?.get(object_type)
    }

    /// The `str` at `address`, cut at the limit. Lone surrogates (undecodable file names)
    /// become U+FFFD.
    pub fn string(&mut self, address: u64) -> Result<String, Fault> {
        if let Some(known) = self.strings.get(&address) {
            return known.clone();
        }
        let text = self.read_string(address);
        self.strings.insert(address, text.clone());
        text
    }

    fn read_string(&mut self, address: u64) -> Result<String, Fault> {
        let unicode = self.layout.unicode;
        let head = Head::read(&mut self.source, address, unicode.compact_data, STRING_READ_AHEAD)?;
        self.expect_type(address, head.word(self.layout.object_type.offset)?, "str")?;
        let state = head.word(unicode.state.offset)?;
        let length = plausible_length(address, head.word(unicode.length.offset)?)?;
        let (kind, is_compact, is_ascii) =
            (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
        let width = match (kind, is_compact, is_ascii) {
            (1, true, _) => 1,
            (2, true, false) => 2,
            (4, true, false) => 4,
            _ => {
                let expected = "a compact string of 1, 2 or 4 bytes a character";
                let (what, found) = ("state of a str", state & 0xff);
                return Err(Fault::Implausible { what, address, found, expected });
            }
        };
        let data = if is_ascii { unicode.ascii_data } else { unicode.compact_data };
        let size = length.min(self.max_string).saturating_mul(width);
        let bytes = head.data(&mut self.source, data, size)?;
        Ok(decode(&bytes, width, self.max_string))
    }

    /// The `bytes` at `address`, refused when longer than a line table may be.
    pub fn line_table(&mut self, address: u64) -> Result<Vec<u8>, Fault> {
        let data = self.layout.bytes_data;
        let head = Head::read(&mut self.source, address, data, TABLE_READ_AHEAD)?;
        self.expect_type(address, head.word(self.layout.object_type.offset)?, "bytes")?;
        let length = plausible_length(address, head.word(self.layout.var_size.offset)?)?;
        if length > self.max_line_table {
            return Err(Fault::Limit("max_line_table"));
        }
        head.data(&mut self.source, data, length)
    }
}

fn plausible_length(address: u64, found: u64) -> Result<usize, Fault> {
    let length = usize::try_from(found).ok().filter(|_| found < ABSURD_LENGTH);
    length.ok_or(Fault::Implausible {
        what: "length of an object",
        address,
        found,
        expected: "less than 2 GiB",
    })
}

/// The first bytes of an object, its header at least.
struct Head {
    address: u64,
    bytes: Vec<u8>,
}

impl Head {
    fn read(
        source: &mut Source<'_>,
        address: u64,
        header_size: u64,
        ahead: usize,
    ) -> Result<Self, Fault> {
        if address == 0 || !address.is_multiple_of(8) {
            let (what, expected) = ("a pointer to an object", "a multiple of 8 that is not null");
            return Err(Fault::Implausible { what, address, found: address, expected });
        }
        let needed = usize::try_from(header_size).unwrap_or(usize::MAX);
        let bytes = source.bytes_ahead(address, needed, ahead)?;
        source.record_read(address, needed);
        Ok(Self { address, bytes })
    }

    /// Eight bytes at `offset` as a number; those behind the header count as 0.
    fn word(&self, offset: u64) -> Result<u64, Fault> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(start..start.saturating_add(8)).ok_or(Fault::Implausible {
            what: "a field of an object",
            address: self.address,
            found: offset,
            expected: "an offset inside its header",
        })?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// `length` bytes from `offset` on; a second read only if the first did not reach so far.
    fn data(self, source: &mut Source<'_>, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(length);
        source.record_read(self.address, end.min(self.bytes.len()));
        match self.bytes.get(start..end) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => source.bytes(self.address.saturating_add(offset), length),
        }
    }
}

fn decode(bytes: &[u8], width: usize, max_length: usize) -> String {
    let mut text = String::new();
    for character in bytes.chunks_exact(width.max(1)) {
        let code = character.iter().rev().fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        if text.len().saturating_add(character.len_utf8()) > max_length {
            break;
        }
        text.push(character);
    }
    text
}
