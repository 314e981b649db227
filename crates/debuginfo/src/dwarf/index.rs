//! Functions, global variables and types of all units, with their namespaces.

use std::collections::HashMap;

use gimli::{
    AttributeValue, DW_AT_byte_size, DW_AT_declaration, DW_AT_location, DW_TAG_base_type,
    DW_TAG_class_type, DW_TAG_enumeration_type, DW_TAG_lexical_block, DW_TAG_member, DW_TAG_module,
    DW_TAG_namespace, DW_TAG_structure_type, DW_TAG_subprogram, DW_TAG_typedef, DW_TAG_union_type,
    DW_TAG_variable,
};

use super::{DwarfInfo, Entry, Unit};

/// A function, or a variable with its type.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) rva: u64,
    pub(crate) size: Option<u64>,
    pub(crate) type_id: Option<u64>,
}

/// Names with their namespaces, of declarations that a definition elsewhere completes.
type Declared = HashMap<gimli::UnitOffset, String>;

/// What was found.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) places: Vec<Place>,
    /// Name, id, size; of each name the first definition.
    pub(crate) types: Vec<(String, u64, Option<u64>)>,
}

impl Index {
    /// Reads at most `max` entries.
    pub(super) fn read(info: &DwarfInfo, max: usize) -> Self {
        let mut index = Self::default();
        let mut left = max;
        for unit in &info.units {
            index.read_unit(info, unit, &mut left);
            if left == 0 {
                break;
            }
        }
        index.types.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        index.types.dedup_by(|a, b| a.0 == b.0);
        index
    }

    fn read_unit(&mut self, info: &DwarfInfo, unit: &Unit, left: &mut usize) {
        let Ok(mut entries) = unit.entries_raw(None) else { return };
        let mut entry = Entry::default();
        // Names of the namespaces and types around the entry, with their depth.
        let mut around: Vec<(isize, String)> = Vec::new();
        let mut declared = Declared::new();
        while !entries.is_empty() && *left > 0 {
            *left = left.saturating_sub(1);
            match entries.read_entry(&mut entry) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => return,
            }
            let depth = entry.depth();
            while around.last().is_some_and(|(outer, _)| *outer >= depth) {
                around.pop();
            }
            self.add(info, unit, &entry, &mut around, &mut declared);
        }
    }

    fn add(
        &mut self,
        info: &DwarfInfo,
        unit: &Unit,
        entry: &Entry,
        around: &mut Vec<(isize, String)>,
        declared: &mut Declared,
    ) {
        let tag = entry.tag();
        let own = || info.text(unit, entry, gimli::DW_AT_name);
        match tag {
            DW_TAG_namespace | DW_TAG_module => {
                let name = own().unwrap_or_else(|| "(anonymous namespace)".to_owned());
                around.push((entry.depth(), name));
            }
            DW_TAG_structure_type
            | DW_TAG_class_type
            | DW_TAG_union_type
            | DW_TAG_enumeration_type => {
                let name = own();
                if let Some(name) = &name {
                    self.add_type(unit, entry, qualified(around, name));
                }
                around.push((entry.depth(), name.unwrap_or_default()));
            }
            DW_TAG_base_type | DW_TAG_typedef => {
                if let Some(name) = own() {
                    self.add_type(unit, entry, qualified(around, &name));
                }
            }
            DW_TAG_subprogram => {
                self.add_function(info, unit, entry, around);
                around.push((entry.depth(), own().unwrap_or_default()));
            }
            // Variables of functions that have one place are static ones.
            DW_TAG_lexical_block => {}
            DW_TAG_variable => self.add_variable(info, unit, entry, around, declared),
            // A static member's declaration, until DWARF 4.
            DW_TAG_member if entry.attr_value(DW_AT_declaration).is_some() => {
                self.add_variable(info, unit, entry, around, declared);
            }
            _ => {}
        }
    }

    fn add_type(&mut self, unit: &Unit, entry: &Entry, name: String) {
        if entry.attr_value(DW_AT_declaration).is_some() {
            return;
        }
        let Some(id) = unit.id_of(entry.offset()) else { return };
        let size = entry.attr_value(DW_AT_byte_size).and_then(|value| value.udata_value());
        self.types.push((name, id, size));
    }

    fn add_function(
        &mut self,
        info: &DwarfInfo,
        unit: &Unit,
        entry: &Entry,
        around: &[(isize, String)],
    ) {
        let ranges = info.ranges_of_entry(unit, entry);
        let Some(first) = ranges.first() else { return };
        // A function that the linker has dropped starts at 0.
        let Some(rva) = info.rva(first.begin).filter(|_| first.begin != 0) else { return };
        let Some(name) = info.function_name(unit, entry, around) else { return };
        let size = Some(first.end.saturating_sub(first.begin));
        self.places.push(Place { name, rva, size, type_id: None });
    }

    fn add_variable(
        &mut self,
        info: &DwarfInfo,
        unit: &Unit,
        entry: &Entry,
        around: &[(isize, String)],
        declared: &mut Declared,
    ) {
        let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(DW_AT_location) else {
            if entry.attr_value(DW_AT_declaration).is_some()
                && let Some(name) = info.text(unit, entry, gimli::DW_AT_name)
            {
                declared.insert(entry.offset(), qualified(around, &name));
            }
            return;
        };
        let mut operations = expression.operations(unit.encoding());
        let address = match operations.next() {
            Ok(Some(gimli::Operation::Address { address })) => Some(address),
            Ok(Some(gimli::Operation::AddressIndex { index })) => {
                unit.dwarf.address(unit, index).ok()
            }
            _ => None,
        };
        // More than an address: a thread's own variable, or a computed one.
        if !matches!(operations.next(), Ok(None)) {
            return;
        }
        let Some(rva) = address.filter(|a| *a != 0).and_then(|address| info.rva(address)) else {
            return;
        };
        let completed = match entry.attr_value(gimli::DW_AT_specification) {
            Some(AttributeValue::UnitRef(offset)) => declared.get(&offset).cloned(),
            _ => None,
        };
        let own = || info.name(unit, entry).map(|name| qualified(around, &name));
        let Some(name) = completed.or_else(own) else { return };
        let type_id = info
            .type_id(unit, entry)
            .or_else(|| info.origin(unit, entry, |unit, entry| info.type_id(unit, entry)));
        self.places.push(Place { name, rva, size: None, type_id: Some(type_id.unwrap_or(0)) });
    }
}

impl DwarfInfo {
    /// A function's name with its namespaces: from the mangled name where there is one.
    pub(super) fn function_name(
        &self,
        unit: &Unit,
        entry: &Entry,
        around: &[(isize, String)],
    ) -> Option<String> {
        let mangled = |unit: &Unit, entry: &Entry| {
            self.text(unit, entry, gimli::DW_AT_linkage_name)
                .or_else(|| self.text(unit, entry, gimli::DW_AT_MIPS_linkage_name))
        };
        let linkage = mangled(unit, entry).or_else(|| self.origin(unit, entry, mangled));
        if let Some(linkage) = linkage {
            let text = crate::object_file::demangled(&linkage);
            if text != linkage {
                return Some(text);
            }
        }
        self.name(unit, entry).map(|name| qualified(around, &name))
    }
}

fn qualified(around: &[(isize, String)], name: &str) -> String {
    let mut text = String::new();
    for (_, outer) in around.iter().filter(|(_, outer)| !outer.is_empty()) {
        text.push_str(outer);
        text.push_str("::");
    }
    text.push_str(name);
    text
}
