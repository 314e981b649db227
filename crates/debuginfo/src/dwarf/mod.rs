//! DWARF 2 to 5: units, functions by address, names.

mod index;
mod location;
mod types;
mod units;
mod variables;

use std::cell::OnceCell;

use gimli::{EndianArcSlice, RunTimeEndian};

use self::index::Index;
pub(crate) use self::units::Unit;
use self::units::Units;
use crate::names::{NameKind, NameTable};
use crate::object_file::ObjectFile;
use crate::pattern::Pattern;
use crate::types::TypeEntry;

pub(crate) type Reader = EndianArcSlice<RunTimeEndian>;
pub(crate) type Entry = gimli::DebuggingInformationEntry<Reader>;

/// Entries that are read for the index: the largest browsers have some hundred million.
const MAX_ENTRIES: usize = 64 << 20;
const MAX_RANGES: usize = 4 << 20;

/// The DWARF of one module.
pub(crate) struct DwarfInfo {
    units: Vec<Unit>,
    /// Start, end and unit, by start; addresses of the file.
    ranges: Vec<(u64, u64, usize)>,
    image_base: u64,
    architecture: object::Architecture,
    index: OnceCell<Index>,
}

impl DwarfInfo {
    /// Reads the root entry of every unit. `follows`: whether files that the file names (split
    /// units, dwz's supplementary file) are opened.
    pub(crate) fn load(object: &ObjectFile, follows: bool) -> Result<Self, gimli::Error> {
        let units = Units::read(object, follows)?;
        Ok(Self {
            ranges: ranges_of(&units),
            units: units.list,
            image_base: object.image_base,
            architecture: object.architecture,
            index: OnceCell::new(),
        })
    }

    /// Units that may hold an address: by their ranges, and those that tell none.
    fn units_at(&self, address: u64) -> Vec<&Unit> {
        let end = self.ranges.partition_point(|(start, _, _)| *start <= address);
        let before = self.ranges.get(..end).unwrap_or_default();
        // Ranges of units seldom overlap: those before the nearest few do not reach here.
        let found = before.iter().rev().take(64).filter(|(_, stop, _)| *stop > address);
        found.filter_map(|(_, _, index)| self.units.get(*index)).collect()
    }

    /// Names and types, read at the first call.
    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::read(self, MAX_ENTRIES))
    }

    /// Adds functions and global variables.
    pub(crate) fn add_names(&self, table: &mut NameTable) {
        for name in &self.index().places {
            let kind = if name.type_id.is_some() { NameKind::Data } else { NameKind::Function };
            table.push(name.name.clone(), name.rva, name.size, kind);
        }
    }

    /// Types by pattern.
    pub(crate) fn types_like(&self, pattern: &Pattern, max: usize) -> (Vec<TypeEntry>, bool) {
        let mut found = self
            .index()
            .types
            .iter()
            .filter(|(name, _, _)| pattern.matches(name))
            .map(|(name, id, size)| TypeEntry { id: *id, name: name.clone(), size: *size });
        let list: Vec<TypeEntry> = found.by_ref().take(max).collect();
        (list, found.next().is_some())
    }

    /// A global variable: where it is, and its type.
    pub(crate) fn global(&self, name: &str) -> Option<(u64, u64)> {
        let places = &self.index().places;
        let exact = places.iter().find(|place| place.type_id.is_some() && place.name == name);
        let last = |place: &&index::Place| {
            place.type_id.is_some() && place.name.rsplit("::").next() == Some(name)
        };
        let found = exact.or_else(|| places.iter().find(last))?;
        Some((found.rva, found.type_id?))
    }

    /// The unit that an id lies in, and the offset in it.
    fn unit_of(&self, id: u64) -> Option<(&Unit, gimli::UnitOffset)> {
        let at = self.units.partition_point(|unit| unit.start().is_some_and(|start| start <= id));
        let unit = self.units.get(at.checked_sub(1)?)?;
        Some((unit, unit.offset_of(id)?))
    }

    /// The id of what a type attribute leads to.
    fn type_id(&self, unit: &Unit, entry: &Entry) -> Option<u64> {
        self.reference(unit, entry.attr_value(gimli::DW_AT_type)?)
    }

    fn reference(&self, unit: &Unit, value: gimli::AttributeValue<Reader>) -> Option<u64> {
        match value {
            gimli::AttributeValue::UnitRef(offset) => unit.id_of(offset),
            gimli::AttributeValue::DebugInfoRef(offset) => Some(unit.id(offset)),
            gimli::AttributeValue::DebugInfoRefSup(offset) => unit.supplementary_id(offset),
            _ => None,
        }
    }

    fn text(&self, unit: &Unit, entry: &Entry, name: gimli::DwAt) -> Option<String> {
        let value = entry.attr_value(name)?;
        let text = unit.dwarf.attr_string(unit, value).ok()?;
        let bytes = gimli::Reader::to_slice(&text).ok()?.into_owned();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// An entry's name: its own, or that of the entry that it completes.
    fn name(&self, unit: &Unit, entry: &Entry) -> Option<String> {
        self.text(unit, entry, gimli::DW_AT_name).or_else(|| {
            self.origin(unit, entry, |unit, entry| self.text(unit, entry, gimli::DW_AT_name))
        })
    }

    /// Follows `DW_AT_abstract_origin` and `DW_AT_specification` until `read` gives something.
    fn origin<T>(
        &self,
        unit: &Unit,
        entry: &Entry,
        read: impl Fn(&Unit, &Entry) -> Option<T>,
    ) -> Option<T> {
        let next = |unit: &Unit, entry: &Entry| {
            let links = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
            links.iter().find_map(|link| self.reference(unit, entry.attr_value(*link)?))
        };
        let mut id = next(unit, entry)?;
        for _ in 0..8 {
            let (unit, offset) = self.unit_of(id)?;
            let entry = unit.entry(offset).ok()?;
            if let Some(found) = read(unit, &entry) {
                return Some(found);
            }
            id = next(unit, &entry)?;
        }
        None
    }

    fn rva(&self, address: u64) -> Option<u64> {
        address.checked_sub(self.image_base)
    }

    /// The ranges of an entry's code.
    fn ranges_of_entry(&self, unit: &Unit, entry: &Entry) -> Vec<gimli::Range> {
        let mut list = Vec::new();
        if let Ok(mut ranges) = unit.dwarf.die_ranges(unit, entry) {
            while let Ok(Some(range)) = ranges.next() {
                list.push(range);
                if list.len() >= 4_096 {
                    break;
                }
            }
        }
        list
    }
}

fn ranges_of(units: &Units) -> Vec<(u64, u64, usize)> {
    let mut list = Vec::new();
    for (index, unit) in units.list.iter().enumerate() {
        // A skeleton tells the ranges of the unit that it stands for.
        let place = units.split.binary_search_by_key(&index, |(skeleton, _)| *skeleton);
        let index = place.ok().and_then(|at| units.split.get(at)).map_or(index, |(_, one)| *one);
        let before = list.len();
        if let Ok(mut ranges) = unit.dwarf.unit_ranges(unit) {
            while let Ok(Some(range)) = ranges.next() {
                if list.len() < MAX_RANGES && range.begin < range.end {
                    list.push((range.begin, range.end, index));
                }
            }
        }
        if list.len() == before {
            list.push((0, u64::MAX, index));
        }
    }
    list.sort_unstable();
    list.dedup();
    list
}
