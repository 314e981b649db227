//! Values as text, in the form of `repr()`, for objects of exact built-in types. Everything else
//! is told by the name of its type and its address.
//!
//! Cut short: what is deeper than the limit is `[…]`, further items and characters are `…`, a
//! container inside of itself is `[...]`. A value behind a name that is a secret is
//! [`REDACTED`]: keys of dicts, and the first of two items in a tuple or list (headers).

mod containers;
mod functions;
mod numpy;
mod scalars;

use super::Reader;
use crate::details::{LocalsLimits, REDACTED};
use crate::secrets::Secrets;
use crate::source::Fault;

/// What stands for what was left out.
const MORE: char = '…';
const UNREADABLE: &str = "<unreadable>";

/// A value as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shown {
    pub text: String,
    /// Whether a part of it was left out as a secret.
    pub is_redacted: bool,
}

/// Writes one value.
struct Writer<'r, 'm> {
    reader: &'r mut Reader<'m>,
    limits: &'r LocalsLimits,
    secrets: &'r Secrets,
    text: String,
    max_bytes: usize,
    is_full: bool,
    is_redacted: bool,
    /// Containers that are being written.
    open: Vec<u64>,
}

impl Reader<'_> {
    /// The object at `address` as text of at most `max_bytes` bytes, and the mark for more.
    pub(super) fn show(
        &mut self,
        address: u64,
        limits: &LocalsLimits,
        secrets: &Secrets,
        max_bytes: usize,
    ) -> Shown {
        let text = String::new();
        let mut writer = Writer {
            reader: self,
            limits,
            secrets,
            text,
            max_bytes,
            is_full: false,
            is_redacted: false,
            open: Vec::new(),
        };
        writer.value(address);
        Shown { text: writer.text, is_redacted: writer.is_redacted }
    }
}

impl Writer<'_, '_> {
    /// Adds text; what does not fit is left out, and nothing follows it.
    fn push(&mut self, text: &str) {
        if self.is_full {
            return;
        }
        let room = self.max_bytes.saturating_sub(self.text.len());
        if text.len() <= room {
            self.text.push_str(text);
            return;
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(text.get(..end).unwrap_or_default());
        self.text.push(MORE);
        self.is_full = true;
    }

    fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]));
    }

    /// Writes the object at `address`, or that it cannot be read.
    fn value(&mut self, address: u64) {
        if self.is_full {
            return;
        }
        let start = self.text.len();
        match self.object(address) {
            Ok(()) => {}
            Err(Fault::Limit(limit)) => {
                self.reader.note_limit(limit);
                self.push_char(MORE);
            }
            Err(_) => {
                if !self.is_full {
                    self.text.truncate(start);
                }
                self.push(UNREADABLE);
            }
        }
    }

    fn object(&mut self, address: u64) -> Result<(), Fault> {
        let of = self.reader.type_of(address)?;
        match of.built_in() {
            "NoneType" => self.push("None"),
            "ellipsis" => self.push("Ellipsis"),
            "NotImplementedType" => self.push("NotImplemented"),
            "bool" => self.truth(address)?,
            "int" => self.int(address)?,
            "float" => self.float(address)?,
            "complex" => self.complex(address)?,
            "str" => self.string(address)?,
            "bytes" => self.byte_string(address)?,
            "bytearray" => self.byte_array(address)?,
            "list" => self.list(address)?,
            "tuple" => self.tuple(address)?,
            "set" => self.set(address, false)?,
            "frozenset" => self.set(address, true)?,
            "dict" => self.dict(address)?,
            "range" => self.range(address)?,
            "slice" => self.slice(address)?,
            "cell" => self.cell(address)?,
            "function" => self.function(address)?,
            "method" => self.method(address)?,
            "builtin_function_or_method" => self.built_in_function(address)?,
            "module" => self.module(address)?,
            "type" => self.class(address)?,
            "numpy.ndarray" => self.array(address)?,
            _ => self.other(address)?,
        }
        Ok(())
    }

    fn other(&mut self, address: u64) -> Result<(), Fault> {
        let of = self.reader.type_of(address)?;
        let name = self.reader.full_name(&of);
        // What `class` makes of a class that makes classes is a class.
        if self.reader.is_based_on(&of, "type") {
            return self.class(address);
        }
        self.push(&format!("<{name} object at {address:#x}>"));
        Ok(())
    }

    fn redacted(&mut self) {
        self.is_redacted = true;
        self.push(REDACTED);
    }
}
