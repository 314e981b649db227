//! Types of a PDB, described.
//!
//! Simple types are numbers below 0x1000: the low byte is the kind, bits 8 to 11 the mode (0 = the
//! type itself, 4 = a 32-bit pointer to it, 6 = a 64-bit one); microsoft-pdb, `cvinfo.h`, `TYPE_ENUM_e`.

use super::table::{FIRST, FieldRecord, Record, TypeTable};
use crate::types::{Encoding, Enumerator, Field, Kind, MAX_FIELDS, MAX_STEPS, Type, TypeRef};

/// Kind, name, size, encoding.
type Simple = (u32, &'static str, u64, Encoding);

const SIMPLE: &[Simple] = &[
    (0x10, "char", 1, Encoding::Char),
    (0x20, "unsigned char", 1, Encoding::Char),
    (0x70, "char", 1, Encoding::Char),
    (0x71, "wchar_t", 2, Encoding::Char),
    (0x7a, "char16_t", 2, Encoding::Char),
    (0x7b, "char32_t", 4, Encoding::Char),
    (0x7c, "char8_t", 1, Encoding::Char),
    (0x68, "int8_t", 1, Encoding::Signed),
    (0x69, "uint8_t", 1, Encoding::Unsigned),
    (0x11, "short", 2, Encoding::Signed),
    (0x21, "unsigned short", 2, Encoding::Unsigned),
    (0x72, "short", 2, Encoding::Signed),
    (0x73, "unsigned short", 2, Encoding::Unsigned),
    (0x12, "long", 4, Encoding::Signed),
    (0x22, "unsigned long", 4, Encoding::Unsigned),
    (0x74, "int", 4, Encoding::Signed),
    (0x75, "unsigned int", 4, Encoding::Unsigned),
    (0x13, "__int64", 8, Encoding::Signed),
    (0x23, "unsigned __int64", 8, Encoding::Unsigned),
    (0x76, "__int64", 8, Encoding::Signed),
    (0x77, "unsigned __int64", 8, Encoding::Unsigned),
    (0x14, "__int128", 16, Encoding::Signed),
    (0x24, "unsigned __int128", 16, Encoding::Unsigned),
    (0x78, "__int128", 16, Encoding::Signed),
    (0x79, "unsigned __int128", 16, Encoding::Unsigned),
    (0x40, "float", 4, Encoding::Float),
    (0x41, "double", 8, Encoding::Float),
    (0x42, "long double", 10, Encoding::Float),
    (0x30, "bool", 1, Encoding::Bool),
    (0x31, "bool16", 2, Encoding::Bool),
    (0x32, "bool32", 4, Encoding::Bool),
    (0x33, "bool64", 8, Encoding::Bool),
    (0x08, "HRESULT", 4, Encoding::Unsigned),
];

fn simple(index: u32) -> Option<&'static Simple> {
    SIMPLE.iter().find(|(kind, ..)| *kind == index & 0xff)
}

/// The bytes of a pointer, for a simple type that is one.
fn simple_pointer(index: u32) -> Option<u64> {
    match (index >> 8) & 0xf {
        0 => None,
        6 => Some(8),
        1..=3 => Some(2),
        _ => Some(4),
    }
}

/// Describes a type.
pub(super) fn describe(table: &TypeTable, id: u32, pointer_bytes: u64) -> Option<Type> {
    let reader = Reader { table, pointer_bytes };
    let index = table.defined(id);
    let mut described = Type::new(id.into(), reader.kind(index));
    described.name = reader.name(index, 0);
    described.size = reader.size(index, 0);
    if index < FIRST {
        if simple_pointer(index).is_some() {
            described.target = Some(reader.reference(index & 0xff));
        } else {
            described.encoding = simple(index).map(|(_, _, _, encoding)| *encoding);
        }
        return Some(described);
    }
    match table.record(index)? {
        Record::Class { fields, .. } => reader.add_fields(*fields, &mut described),
        Record::Enum { underlying, fields, .. } => {
            described.target = Some(reader.reference(*underlying));
            described.encoding = Some(Encoding::Signed);
            reader.add_fields(Some(*fields), &mut described);
        }
        Record::Pointer { target, .. }
        | Record::Modifier { target, .. }
        | Record::Alias { target, .. } => described.target = Some(reader.reference(*target)),
        Record::Array { element, bytes } => {
            described.target = Some(reader.reference(*element));
            let size = reader.size(*element, 0).filter(|size| *size > 0);
            described.count = size.and_then(|size| bytes.checked_div(size));
        }
        Record::Bitfield { of, position, bits } => {
            described.target = Some(reader.reference(*of));
            described.bit_offset = Some((*position).into());
            described.bit_size = Some((*bits).into());
        }
        _ => {}
    }
    Some(described)
}

struct Reader<'a> {
    table: &'a TypeTable,
    pointer_bytes: u64,
}

impl Reader<'_> {
    fn kind(&self, index: u32) -> Kind {
        if index < FIRST {
            return match (simple_pointer(index), simple(index)) {
                (Some(_), _) => Kind::Pointer,
                (None, Some(_)) => Kind::Base,
                (None, None) => Kind::Void,
            };
        }
        match self.table.record(index) {
            Some(Record::Class { is_declared: true, .. }) => Kind::Declared,
            Some(Record::Class { is_union: true, .. }) => Kind::Union,
            Some(Record::Class { is_class: true, .. }) => Kind::Class,
            Some(Record::Class { .. }) => Kind::Struct,
            Some(Record::Enum { .. }) => Kind::Enum,
            Some(Record::Pointer { is_reference: true, .. }) => Kind::Reference,
            Some(Record::Pointer { .. }) => Kind::Pointer,
            Some(Record::Modifier { .. }) => Kind::Modifier,
            Some(Record::Alias { .. }) => Kind::Typedef,
            Some(Record::Array { .. }) => Kind::Array,
            Some(Record::Procedure { .. }) => Kind::Function,
            Some(Record::Bitfield { .. }) => Kind::Bitfield,
            _ => Kind::Void,
        }
    }

    fn reference(&self, index: u32) -> TypeRef {
        let index = self.table.defined(index);
        let mut behind = index;
        for _ in 0..MAX_STEPS {
            match self.table.record(behind) {
                Some(Record::Modifier { target, .. } | Record::Alias { target, .. }) => {
                    behind = self.table.defined(*target);
                }
                _ => break,
            }
        }
        let is_void = index < FIRST && simple(index).is_none() && simple_pointer(index).is_none();
        TypeRef {
            id: (!is_void).then_some(index.into()),
            name: self.name(index, 0),
            size: self.size(index, 0),
            kind: self.kind(behind),
        }
    }

    fn name(&self, index: u32, depth: usize) -> String {
        if index < FIRST {
            let name = simple(index).map_or("void", |(_, name, ..)| name);
            let star = if simple_pointer(index).is_some() { "*" } else { "" };
            return format!("{name}{star}");
        }
        if depth > MAX_STEPS {
            return "...".to_owned();
        }
        let inner = |index: u32| self.name(index, depth.saturating_add(1));
        match self.table.record(index) {
            Some(
                Record::Class { name, .. } | Record::Enum { name, .. } | Record::Alias { name, .. },
            ) => name.clone(),
            Some(Record::Pointer { target, is_reference, .. }) => {
                if let Some(Record::Procedure { .. }) = self.table.record(*target) {
                    return self.procedure(*target, depth);
                }
                format!("{}{}", inner(*target), if *is_reference { "&" } else { "*" })
            }
            Some(Record::Modifier { target, is_constant, is_volatile }) => {
                let constant = if *is_constant { "const " } else { "" };
                let volatile = if *is_volatile { "volatile " } else { "" };
                format!("{constant}{volatile}{}", inner(*target))
            }
            Some(Record::Array { element, bytes }) => {
                let size = self.size(*element, 0).filter(|size| *size > 0);
                let count = size.and_then(|size| bytes.checked_div(size)).unwrap_or(0);
                format!("{}[{count}]", inner(*element))
            }
            Some(Record::Procedure { .. }) => self.procedure(index, depth),
            Some(Record::Bitfield { of, bits, .. }) => format!("{} : {bits}", inner(*of)),
            _ => "<type not told>".to_owned(),
        }
    }

    /// `int (*)(char*, int)`.
    fn procedure(&self, index: u32, depth: usize) -> String {
        let inner = |index: u32| self.name(index, depth.saturating_add(1));
        let Some(Record::Procedure { result, arguments }) = self.table.record(index) else {
            return "<function>".to_owned();
        };
        let list = match self.table.record(*arguments) {
            Some(Record::Arguments(list)) => list.iter().take(64).map(|one| inner(*one)).collect(),
            _ => Vec::new(),
        };
        let result = result.map_or_else(|| "void".to_owned(), inner);
        format!("{result} (*)({})", list.join(", "))
    }

    fn size(&self, index: u32, depth: usize) -> Option<u64> {
        let index = self.table.defined(index);
        if index < FIRST {
            return simple_pointer(index).or_else(|| simple(index).map(|(_, _, size, _)| *size));
        }
        if depth > MAX_STEPS {
            return None;
        }
        let inner = |index: u32| self.size(index, depth.saturating_add(1));
        match self.table.record(index)? {
            Record::Class { is_declared: true, .. } => None,
            Record::Class { size, .. } => Some(*size),
            Record::Enum { underlying, .. } => inner(*underlying),
            Record::Pointer { size: 0, .. } => Some(self.pointer_bytes),
            Record::Pointer { size, .. } => Some((*size).into()),
            Record::Modifier { target, .. } | Record::Alias { target, .. } => inner(*target),
            Record::Array { bytes, .. } => Some(*bytes),
            Record::Bitfield { of, .. } => inner(*of),
            _ => None,
        }
    }

    /// Fields and values of a list and of those that continue it.
    fn add_fields(&self, list: Option<u32>, described: &mut Type) {
        let mut next = list;
        for _ in 0..MAX_FIELDS {
            let Some(Record::Fields { fields, continuation }) =
                next.and_then(|index| self.table.record(index))
            else {
                break;
            };
            for field in fields {
                let count = described.fields.len().saturating_add(described.enumerators.len());
                if count >= MAX_FIELDS {
                    described.is_cut = true;
                    return;
                }
                self.add_field(field, described);
            }
            next = *continuation;
        }
        described.fields.sort_by_key(|field| (field.offset, field.bit_offset));
    }

    fn add_field(&self, field: &FieldRecord, described: &mut Type) {
        match field {
            FieldRecord::Member { name, offset, of } => {
                let (of, bits) = match self.table.record(*of) {
                    Some(Record::Bitfield { of, position, bits }) => {
                        (*of, Some((*position, *bits)))
                    }
                    _ => (*of, None),
                };
                described.fields.push(Field {
                    name: name.clone(),
                    offset: *offset,
                    is_base: false,
                    bit_offset: bits.map(|(position, _)| position.into()),
                    bit_size: bits.map(|(_, bits)| bits.into()),
                    of: self.reference(of),
                });
            }
            FieldRecord::Base { of, offset } => described.fields.push(Field {
                name: String::new(),
                offset: *offset,
                is_base: true,
                bit_offset: None,
                bit_size: None,
                of: self.reference(*of),
            }),
            FieldRecord::Value { name, value } => {
                described.enumerators.push(Enumerator { name: name.clone(), value: *value });
            }
        }
    }
}
