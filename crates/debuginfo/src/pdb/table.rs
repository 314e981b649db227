//! The types of a PDB, as records of our own: its reader's borrow from the stream.

use std::collections::HashMap;

use pdb2::{FallibleIterator, TypeData, TypeIndex, TypeInformation, Variant};

/// Types that are kept; the largest PDBs have some millions.
const MAX_TYPES: usize = 8 << 20;
/// Types below are simple ones, told by their number.
pub(super) const FIRST: u32 = 0x1000;

/// A type record.
#[derive(Debug)]
pub(super) enum Record {
    /// Structure, class (`true`) or union.
    Class {
        name: String,
        fields: Option<u32>,
        size: u64,
        is_class: bool,
        is_union: bool,
        is_declared: bool,
    },
    Enum {
        name: String,
        underlying: u32,
        fields: u32,
        is_declared: bool,
    },
    Pointer {
        target: u32,
        is_reference: bool,
        size: u8,
    },
    Modifier {
        target: u32,
        is_constant: bool,
        is_volatile: bool,
    },
    /// `bytes`: of the whole array.
    Array {
        element: u32,
        bytes: u64,
    },
    Procedure {
        result: Option<u32>,
        arguments: u32,
    },
    Bitfield {
        of: u32,
        position: u8,
        bits: u8,
    },
    Fields {
        fields: Vec<FieldRecord>,
        continuation: Option<u32>,
    },
    Arguments(Vec<u32>),
    Alias {
        target: u32,
        name: String,
    },
    Other,
}

/// One entry of a list of fields.
#[derive(Debug)]
pub(super) enum FieldRecord {
    Member { name: String, offset: u64, of: u32 },
    Base { of: u32, offset: u64 },
    Value { name: String, value: i64 },
}

/// All type records, by index.
#[derive(Debug, Default)]
pub(super) struct TypeTable {
    records: Vec<Record>,
    /// Definitions of structures, classes, unions and enumerations.
    definitions: HashMap<String, u32>,
}

impl TypeTable {
    /// Reads the whole stream; a record that cannot be read is [`Record::Other`].
    pub(super) fn read(types: &TypeInformation<'_>) -> Result<Self, pdb2::Error> {
        let mut table = Self::default();
        let mut items = types.iter();
        while let (Some(item), true) = (items.next()?, table.records.len() < MAX_TYPES) {
            let record = item.parse().map_or(Record::Other, |data| record(&data));
            let at = table.records.len();
            if let Some(index) = u32::try_from(at).ok().and_then(|at| at.checked_add(FIRST))
                && let Some((name, false)) = name_of(&record)
            {
                table.definitions.entry(name.to_owned()).or_insert(index);
            }
            table.records.push(record);
        }
        Ok(table)
    }

    /// The record of an index; `None` for simple types and indices that are none.
    pub(super) fn record(&self, index: u32) -> Option<&Record> {
        self.records.get(usize::try_from(index.checked_sub(FIRST)?).ok()?)
    }

    /// The definition that a declaration stands for; else the index as it is.
    pub(super) fn defined(&self, index: u32) -> u32 {
        let name = self.record(index).and_then(name_of);
        match name {
            Some((name, true)) => self.definitions.get(name).copied().unwrap_or(index),
            _ => index,
        }
    }

    /// Index, name and size of all definitions, by name.
    pub(super) fn names(&self) -> impl Iterator<Item = (u32, &str, Option<u64>)> {
        let mut list: Vec<(&str, u32)> =
            self.definitions.iter().map(|(name, index)| (name.as_str(), *index)).collect();
        list.sort_unstable();
        list.into_iter().map(|(name, index)| {
            let size = match self.record(index) {
                Some(Record::Class { size, .. }) => Some(*size),
                _ => None,
            };
            (index, name, size)
        })
    }
}

/// Name, and whether it is a declaration only.
fn name_of(record: &Record) -> Option<(&str, bool)> {
    match record {
        Record::Class { name, is_declared, .. } | Record::Enum { name, is_declared, .. } => {
            Some((name, *is_declared))
        }
        _ => None,
    }
}

fn index(index: TypeIndex) -> u32 {
    index.0
}

fn record(data: &TypeData<'_>) -> Record {
    match data {
        TypeData::Class(class) => Record::Class {
            name: class.name.to_string().into_owned(),
            fields: class.fields.map(index),
            size: class.size,
            is_class: class.kind == pdb2::ClassKind::Class,
            is_union: false,
            is_declared: class.properties.forward_reference(),
        },
        TypeData::Union(union) => Record::Class {
            name: union.name.to_string().into_owned(),
            fields: Some(index(union.fields)),
            size: union.size,
            is_class: false,
            is_union: true,
            is_declared: union.properties.forward_reference(),
        },
        TypeData::Enumeration(of) => Record::Enum {
            name: of.name.to_string().into_owned(),
            underlying: index(of.underlying_type),
            fields: index(of.fields),
            is_declared: of.properties.forward_reference(),
        },
        TypeData::Pointer(pointer) => Record::Pointer {
            target: index(pointer.underlying_type),
            is_reference: pointer.attributes.is_reference(),
            size: pointer.attributes.size(),
        },
        TypeData::Modifier(modifier) => Record::Modifier {
            target: index(modifier.underlying_type),
            is_constant: modifier.constant,
            is_volatile: modifier.volatile,
        },
        TypeData::Array(array) => Record::Array {
            element: index(array.element_type),
            bytes: array.dimensions.last().copied().unwrap_or(0).into(),
        },
        TypeData::Procedure(procedure) => Record::Procedure {
            result: procedure.return_type.map(index),
            arguments: index(procedure.argument_list),
        },
        TypeData::MemberFunction(function) => Record::Procedure {
            result: Some(index(function.return_type)),
            arguments: index(function.argument_list),
        },
        TypeData::Bitfield(field) => Record::Bitfield {
            of: index(field.underlying_type),
            position: field.position,
            bits: field.length,
        },
        TypeData::FieldList(list) => Record::Fields {
            fields: list.fields.iter().filter_map(field).collect(),
            continuation: list.continuation.map(index),
        },
        TypeData::ArgumentList(list) => {
            Record::Arguments(list.arguments.iter().copied().map(index).collect())
        }
        TypeData::Alias(alias) => Record::Alias {
            target: index(alias.underlying_type),
            name: alias.name.to_string().into_owned(),
        },
        _ => Record::Other,
    }
}

fn field(data: &TypeData<'_>) -> Option<FieldRecord> {
    Some(match data {
        TypeData::Member(member) => FieldRecord::Member {
            name: member.name.to_string().into_owned(),
            offset: member.offset,
            of: index(member.field_type),
        },
        TypeData::BaseClass(base) => {
            FieldRecord::Base { of: index(base.base_class), offset: base.offset.into() }
        }
        TypeData::Enumerate(value) => FieldRecord::Value {
            name: value.name.to_string().into_owned(),
            value: number(value.value),
        },
        _ => return None,
    })
}

fn number(value: Variant) -> i64 {
    match value {
        Variant::U8(value) => value.into(),
        Variant::U16(value) => value.into(),
        Variant::U32(value) => value.into(),
        Variant::U64(value) => value.cast_signed(),
        Variant::I8(value) => value.into(),
        Variant::I16(value) => value.into(),
        Variant::I32(value) => value.into(),
        Variant::I64(value) => value,
    }
}
