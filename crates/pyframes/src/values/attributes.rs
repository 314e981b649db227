//! Attributes of instances of Python classes, wherever a version keeps them.

use super::Reader;
use super::dicts::Entries;
use super::types::Type;
use crate::layout::Field;
use crate::layout::values::{Attributes, WORD};
use crate::source::Fault;

/// `Py_TPFLAGS_MANAGED_DICT` (3.11 and later).
const HAS_MANAGED_DICT: u64 = 1 << 4;
/// `Py_TPFLAGS_INLINE_VALUES` (3.13 and later).
const HAS_INLINE_VALUES: u64 = 1 << 2;
/// Where a dict, or a tagged pointer, stands before an object; in 3.11 its values stand 8 bytes
/// further before it.
const BEFORE: u64 = 24;
const VALUES_BEFORE: u64 = 32;
/// `valid` of `PyDictValues` (3.13).
const VALID: Field = Field { offset: 3, width: 1 };
const MAX_ATTRIBUTES: usize = 1_024;

impl Reader<'_> {
    /// Attributes of an instance by name; `None` = it has none of that name, or its attributes
    /// cannot be found.
    pub(super) fn attributes<const N: usize>(
        &mut self,
        object: u64,
        names: [&str; N],
    ) -> [Option<u64>; N] {
        match self.type_of(object).and_then(|of| self.all_attributes(object, &of)) {
            Ok(entries) => self.pick(&entries, names),
            Err(_) => [None; N],
        }
    }

    fn all_attributes(&mut self, object: u64, of: &Type) -> Result<Entries, Fault> {
        if of.flags & HAS_MANAGED_DICT == 0 || self.layout.attributes == Attributes::Dict {
            return match u64::try_from(of.dict_offset) {
                Ok(offset @ 1..) => self.dict_behind(object.saturating_add(offset)),
                _ => Ok(Entries::default()),
            };
        }
        match self.layout.attributes {
            Attributes::Dict => Ok(Entries::default()),
            Attributes::ValuesBefore => match self.word(object.saturating_sub(VALUES_BEFORE))? {
                0 => self.dict_behind(object.saturating_sub(BEFORE)),
                values => self.values(of, values),
            },
            Attributes::TaggedBefore => match self.word(object.saturating_sub(BEFORE))? {
                tagged if tagged & 1 == 1 => self.values(of, tagged.saturating_add(1)),
                _ => self.dict_behind(object.saturating_sub(BEFORE)),
            },
            Attributes::InlineBehind => self.inline(object, of),
        }
    }

    fn inline(&mut self, object: u64, of: &Type) -> Result<Entries, Fault> {
        let dict = object.saturating_sub(BEFORE);
        if self.word(dict)? != 0 || of.flags & HAS_INLINE_VALUES == 0 {
            return self.dict_behind(dict);
        }
        let values = object.saturating_add(of.basic_size);
        match self.field(values, VALID)? {
            0 => Ok(Entries::default()),
            _ => self.values(of, values),
        }
    }

    /// Values that stand apart; the keys hang on the type.
    fn values(&mut self, of: &Type, values: u64) -> Result<Entries, Fault> {
        let cached_keys = self.layout.heap_type.cached_keys;
        let keys = self.field(of.address, cached_keys)?;
        let start = values.saturating_add(self.layout.dict.values_start);
        self.table_entries(keys, Some(start), MAX_ATTRIBUTES)
    }

    fn dict_behind(&mut self, pointer: u64) -> Result<Entries, Fault> {
        match self.word(pointer)? {
            0 => Ok(Entries::default()),
            dict => self.dict_entries(dict, MAX_ATTRIBUTES),
        }
    }

    /// The word at `address`, of which no evidence is kept.
    pub(super) fn word(&mut self, address: u64) -> Result<u64, Fault> {
        self.field(address, WORD)
    }
}
