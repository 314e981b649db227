//! Dicts: combined and split tables, with keys of any kind and of `str` alone.

use super::{Reader, implausible, little_endian, plausible};
use crate::layout::Field;
use crate::layout::values::{KeyTable, SIZE};
use crate::source::Fault;

/// Most entries of a dict that are searched for a name: `sys.modules` of a large program has
/// some ten thousand.
const MAX_SEARCHED: usize = 65_536;

/// Keys and values of a dict, in the order of insertion.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub items: Vec<(u64, u64)>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Where the entries of a table of keys are.
struct Table {
    start: u64,
    entries: usize,
    /// Bytes of an entry, and where its key and value are in it.
    width: usize,
    key: usize,
}

impl Reader<'_> {
    /// The dict at `address`, if it is one, up to `max` items.
    pub(super) fn dict(&mut self, address: u64, max: usize) -> Result<Entries, Fault> {
        let of = self.type_of(address)?;
        if of.built_in() != "dict" {
            return Err(implausible("the type of an object", address, of.address, "dict"));
        }
        self.dict_entries(address, max)
    }

    /// The dict at `address`, whose type is known to be one with the layout of `dict`.
    pub(super) fn dict_entries(&mut self, address: u64, max: usize) -> Result<Entries, Fault> {
        let fields = self.layout.dict;
        let record = self.object(address, &[SIZE, fields.keys, fields.values])?;
        let keys = record.get(fields.keys)?;
        let values = record.get(fields.values)?;
        let values = (values != 0).then(|| values.saturating_add(fields.values_start));
        let mut entries = self.table_entries(keys, values, max)?;
        let used = plausible(record.get(SIZE)?).unwrap_or(usize::MAX);
        entries.is_cut |= used > entries.items.len();
        Ok(entries)
    }

    /// What a table of keys leads to. `values`: where the values stand, when not beside the keys.
    pub(super) fn table_entries(
        &mut self,
        keys: u64,
        values: Option<u64>,
        max: usize,
    ) -> Result<Entries, Fault> {
        let table = self.table(keys)?;
        // Entries of removed keys are empty; so many are passed over.
        let looked_at = table.entries.min(max.saturating_mul(2).saturating_add(8));
        let size = looked_at.saturating_mul(table.width);
        let bytes = self.source().unrecorded(table.start, size)?;
        let values = values.map(|at| self.words(at, looked_at)).transpose()?;
        let mut entries = Entries { items: Vec::new(), is_cut: looked_at < table.entries };
        for (index, entry) in bytes.chunks_exact(table.width).enumerate() {
            let at = |offset: usize| entry.get(offset..offset.saturating_add(8));
            let key = at(table.key).map_or(0, little_endian);
            let beside = at(table.key.saturating_add(8)).map_or(0, little_endian);
            let value = match &values {
                Some(values) => values.get(index).copied().unwrap_or(0),
                None => beside,
            };
            if key == 0 || value == 0 {
                continue;
            }
            if entries.items.len() >= max {
                entries.is_cut = true;
                break;
            }
            entries.items.push((key, value));
        }
        Ok(entries)
    }

    fn table(&mut self, keys: u64) -> Result<Table, Fault> {
        let read = |reader: &mut Self, fields: &[Field]| reader.object(keys, fields);
        let (start, entries, is_general) = match self.layout.dict.table {
            KeyTable::Sized { size, entries, indices } => {
                let record = read(self, &[size, entries])?;
                let size = record.get(size)?;
                let width = match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => 8,
                };
                let start = indices.saturating_add(size.saturating_mul(width));
                (start, record.get(entries)?, true)
            }
            KeyTable::Logarithmic { log2_index_bytes, kind, entries, indices } => {
                let record = read(self, &[log2_index_bytes, kind, entries])?;
                let shift = u32::try_from(record.get(log2_index_bytes)?).unwrap_or(u32::MAX);
                let size = 1_u64.checked_shl(shift).unwrap_or(u64::MAX);
                (indices.saturating_add(size), record.get(entries)?, record.get(kind)? == 0)
            }
        };
        let (width, key) = if is_general { (24, 8) } else { (16, 0) };
        let entries = plausible(entries)
            .ok_or_else(|| implausible("entries of a dict", keys, entries, "less than 1 T"))?;
        Ok(Table { start: keys.saturating_add(start), entries, width, key })
    }

    /// The value of a `str` key of the dict at `address`.
    pub(super) fn lookup(&mut self, address: u64, name: &str) -> Result<Option<u64>, Fault> {
        let [found] = self.lookup_all(address, [name])?;
        Ok(found)
    }

    /// The values of several `str` keys; the keys are read once.
    pub(super) fn lookup_all<const N: usize>(
        &mut self,
        address: u64,
        names: [&str; N],
    ) -> Result<[Option<u64>; N], Fault> {
        let entries = self.dict(address, MAX_SEARCHED)?;
        Ok(self.pick(&entries, names))
    }

    /// The values of several `str` keys among entries.
    pub(super) fn pick<const N: usize>(
        &mut self,
        entries: &Entries,
        names: [&str; N],
    ) -> [Option<u64>; N] {
        let mut found = [None; N];
        let mut missing = N;
        for (key, value) in &entries.items {
            if missing == 0 {
                break;
            }
            let Some(key) = self.name(*key) else { continue };
            for (place, name) in found.iter_mut().zip(names) {
                if place.is_none() && *name == *key {
                    *place = Some(*value);
                    missing = missing.saturating_sub(1);
                }
            }
        }
        found
    }
}
