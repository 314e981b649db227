//! Objects that hold objects.

use super::{MORE, Writer};
use crate::layout::values::{
    CELL_CONTENTS, LIST_ITEMS, SET_MASK, SET_TABLE, SET_USED, SIZE, START_STOP_STEP,
};
use crate::source::Fault;
use crate::values::{implausible, little_endian, plausible};

/// Slots of a set's table that are read at once, and at most.
const SET_CHUNK: usize = 256;
const MAX_SET_SLOTS: usize = 16 * 1024;
/// A slot whose item was removed has this hash.
const REMOVED: u64 = u64::MAX;
/// Longest name that is looked at to see whether what follows is a secret.
const MAX_NAME: usize = 256;

impl Writer<'_, '_> {
    pub(super) fn list(&mut self, address: u64) -> Result<(), Fault> {
        let record = self.reader.object(address, &[SIZE, LIST_ITEMS])?;
        let (size, items) = (record.get(SIZE)?, record.get(LIST_ITEMS)?);
        self.sequence(address, items, size, ("[", "]"))
    }

    pub(super) fn tuple(&mut self, address: u64) -> Result<(), Fault> {
        let size = self.reader.field(address, SIZE)?;
        let items = address.saturating_add(self.reader.layout.tuple_items);
        self.sequence(address, items, size, ("(", if size == 1 { ",)" } else { ")" }))
    }

    fn sequence(
        &mut self,
        address: u64,
        items: u64,
        size: u64,
        brackets: (&str, &str),
    ) -> Result<(), Fault> {
        let size = plausible(size)
            .ok_or_else(|| implausible("items of a sequence", address, size, "less than 1 T"))?;
        let shown = size.min(self.limits.max_items);
        self.inside(address, size == 0, brackets, |writer| {
            let values = writer.reader.words(items, shown)?;
            if let [name, _] = *values.as_slice()
                && writer.is_secret(name)
            {
                writer.value(name);
                writer.push(", ");
                writer.redacted();
                return Ok(());
            }
            writer.items(&values, size > shown, |writer, item| writer.value(*item));
            Ok(())
        })
    }

    pub(super) fn set(&mut self, address: u64, is_frozen: bool) -> Result<(), Fault> {
        let record = self.reader.object(address, &[SET_USED, SET_MASK, SET_TABLE])?;
        let used = record.get(SET_USED)?;
        let (start, end) = match (is_frozen, used) {
            (true, 0) => ("frozenset(", ")"),
            (true, _) => ("frozenset({", "})"),
            (false, 0) => ("set(", ")"),
            (false, _) => ("{", "}"),
        };
        let (mask, table) = (record.get(SET_MASK)?, record.get(SET_TABLE)?);
        self.inside(address, used == 0, (start, end), |writer| {
            let most = writer.limits.max_items.saturating_add(1);
            let mut keys = writer.reader.set_items(table, mask, most)?;
            keys.truncate(writer.limits.max_items);
            let is_cut = plausible(used).is_none_or(|used| used > keys.len());
            writer.items(&keys, is_cut, |writer, item| writer.value(*item));
            Ok(())
        })
    }

    pub(super) fn dict(&mut self, address: u64) -> Result<(), Fault> {
        let most = self.limits.max_items;
        let is_empty = self.reader.field(address, SIZE)? == 0;
        self.inside(address, is_empty, ("{", "}"), |writer| {
            let entries = writer.reader.dict_entries(address, most)?;
            writer.items(&entries.items, entries.is_cut, |writer, (key, value)| {
                writer.value(*key);
                writer.push(": ");
                if writer.is_secret(*key) {
                    return writer.redacted();
                }
                writer.value(*value);
            });
            Ok(())
        })
    }

    pub(super) fn range(&mut self, address: u64) -> Result<(), Fault> {
        let [start, stop, step] = self.three(address)?;
        self.push("range(");
        self.value(start);
        self.push(", ");
        self.value(stop);
        if self.reader.small_int(step)? != Some(1) {
            self.push(", ");
            self.value(step);
        }
        self.push(")");
        Ok(())
    }

    pub(super) fn slice(&mut self, address: u64) -> Result<(), Fault> {
        let parts = self.three(address)?;
        self.inside(address, false, ("slice(", ")"), |writer| {
            writer.items(&parts, false, |writer, part| writer.value(*part));
            Ok(())
        })
    }

    pub(super) fn cell(&mut self, address: u64) -> Result<(), Fault> {
        let contents = self.reader.field(address, CELL_CONTENTS)?;
        self.inside(address, contents == 0, ("<cell ", ">"), |writer| {
            writer.value(contents);
            Ok(())
        })
    }

    fn three(&mut self, address: u64) -> Result<[u64; 3], Fault> {
        let record = self.reader.object(address, &START_STOP_STEP)?;
        let [start, stop, step] = START_STOP_STEP;
        Ok([record.get(start)?, record.get(stop)?, record.get(step)?])
    }

    /// Writes a container, unless it is one that is being written, or too deep.
    fn inside(
        &mut self,
        address: u64,
        is_empty: bool,
        (start, end): (&str, &str),
        contents: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.push(start);
        if self.open.contains(&address) {
            self.push("...");
        } else if self.open.len() >= self.limits.max_depth && !is_empty {
            self.push_char(MORE);
        } else if !is_empty {
            self.open.push(address);
            let written = contents(self);
            self.open.pop();
            written?;
        }
        self.push(end);
        Ok(())
    }

    fn items<T>(&mut self, items: &[T], is_cut: bool, mut item: impl FnMut(&mut Self, &T)) {
        for (index, value) in items.iter().enumerate() {
            if self.is_full {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            item(self, value);
        }
        if is_cut {
            if !items.is_empty() {
                self.push(", ");
            }
            self.push_char(MORE);
        }
    }

    /// Whether the object is a text or bytes that name a secret.
    fn is_secret(&mut self, name: u64) -> bool {
        let Ok(of) = self.reader.type_of(name) else { return false };
        let name = match of.built_in() {
            "str" => self.reader.text(name, MAX_NAME).map(|text| text.text),
            "bytes" => self
                .reader
                .byte_string(name, MAX_NAME)
                .map(|bytes| String::from_utf8_lossy(&bytes.bytes).into_owned()),
            _ => return false,
        };
        name.is_ok_and(|name| self.secrets.covers(&name))
    }
}

impl crate::values::Reader<'_> {
    /// Up to `max` items of a set's table.
    pub(in crate::values) fn set_items(
        &mut self,
        table: u64,
        mask: u64,
        max: usize,
    ) -> Result<Vec<u64>, Fault> {
        let slots = plausible(mask.saturating_add(1)).unwrap_or(0);
        let mut items = Vec::new();
        let mut read = 0_usize;
        while read < slots.min(MAX_SET_SLOTS) && items.len() < max {
            let count = SET_CHUNK.min(slots.saturating_sub(read));
            let offset = u64::try_from(read.saturating_mul(16)).unwrap_or(u64::MAX);
            let start = table.saturating_add(offset);
            let bytes = self.source().unrecorded(start, count.saturating_mul(16))?;
            for slot in bytes.chunks_exact(16) {
                let (key, hash) = slot.split_at_checked(8).unwrap_or((slot, &[]));
                let (key, hash) = (little_endian(key), little_endian(hash));
                if key != 0 && hash != REMOVED && items.len() < max {
                    items.push(key);
                }
            }
            read = read.saturating_add(count);
        }
        if read < slots && items.len() < max {
            self.note_limit("max_set_slots");
        }
        Ok(items)
    }
}
