//! Types.

use gimli::{
    AttributeValue, DW_AT_bit_offset, DW_AT_bit_size, DW_AT_byte_size, DW_AT_const_value,
    DW_AT_count, DW_AT_data_bit_offset, DW_AT_data_member_location, DW_AT_declaration,
    DW_AT_encoding, DW_AT_upper_bound, DW_TAG_array_type, DW_TAG_atomic_type, DW_TAG_base_type,
    DW_TAG_class_type, DW_TAG_const_type, DW_TAG_enumeration_type, DW_TAG_enumerator,
    DW_TAG_inheritance, DW_TAG_member, DW_TAG_pointer_type, DW_TAG_reference_type,
    DW_TAG_restrict_type, DW_TAG_rvalue_reference_type, DW_TAG_structure_type,
    DW_TAG_subrange_type, DW_TAG_subroutine_type, DW_TAG_typedef, DW_TAG_union_type,
    DW_TAG_unspecified_type, DW_TAG_variant_part, DW_TAG_volatile_type,
};

use super::{DwarfInfo, Entry, Unit};
use crate::types::{Encoding, Enumerator, Field, Kind, MAX_FIELDS, MAX_STEPS, Type, TypeRef};

impl DwarfInfo {
    /// A type with its fields.
    pub(crate) fn describe(&self, id: u64) -> Option<Type> {
        let (unit, offset) = self.unit_of(id)?;
        let entry = unit.entry(offset).ok()?;
        let mut described = Type::new(id, kind_of(&entry)?);
        described.name = self.type_name(Some(id), 0);
        described.size = self.size_of(Some(id), 0);
        described.target = match described.kind {
            Kind::Base | Kind::Struct | Kind::Class | Kind::Union => None,
            Kind::Declared => None,
            _ => Some(self.type_ref(self.type_id(unit, &entry))),
        };
        match described.kind {
            Kind::Base => described.encoding = encoding_of(&entry),
            Kind::Struct | Kind::Class | Kind::Union => {
                self.add_fields(unit, &entry, &mut described)
            }
            Kind::Enum => self.add_enumerators(unit, &entry, &mut described),
            Kind::Array => self.add_dimensions(unit, &entry, &mut described),
            _ => {}
        }
        Some(described)
    }

    /// A type's name and size.
    pub(super) fn type_ref(&self, id: Option<u64>) -> TypeRef {
        TypeRef {
            id,
            name: self.type_name(id, 0),
            size: self.size_of(id, 0),
            kind: self.final_kind(id),
        }
    }

    /// What is behind typedefs and modifiers.
    fn final_kind(&self, id: Option<u64>) -> Kind {
        let mut id = id;
        for _ in 0..MAX_STEPS {
            let Some((unit, entry)) = id.and_then(|id| self.type_entry(id)) else {
                return Kind::Void;
            };
            match kind_of(&entry) {
                Some(Kind::Typedef | Kind::Modifier) => id = self.type_id(unit, &entry),
                Some(kind) => return kind,
                None => return Kind::Void,
            }
        }
        Kind::Void
    }

    fn type_entry(&self, id: u64) -> Option<(&Unit, Entry)> {
        let (unit, offset) = self.unit_of(id)?;
        Some((unit, unit.entry(offset).ok()?))
    }

    /// A type as in the source.
    fn type_name(&self, id: Option<u64>, depth: usize) -> String {
        let Some((unit, entry)) = id.and_then(|id| self.type_entry(id)) else {
            return "void".to_owned();
        };
        if depth > MAX_STEPS {
            return "...".to_owned();
        }
        let inner = || self.type_name(self.type_id(unit, &entry), depth.saturating_add(1));
        match entry.tag() {
            DW_TAG_pointer_type => {
                let target = self.type_id(unit, &entry).and_then(|id| self.type_entry(id));
                match target {
                    Some((unit, target)) if target.tag() == DW_TAG_subroutine_type => {
                        self.function_name_of_type(unit, &target, depth)
                    }
                    _ => format!("{}*", inner()),
                }
            }
            DW_TAG_reference_type => format!("{}&", inner()),
            DW_TAG_rvalue_reference_type => format!("{}&&", inner()),
            DW_TAG_const_type => format!("const {}", inner()),
            DW_TAG_volatile_type => format!("volatile {}", inner()),
            DW_TAG_restrict_type | DW_TAG_atomic_type => inner(),
            DW_TAG_array_type => {
                let counts = self.counts(unit, &entry);
                let text = |count: &Option<u64>| {
                    count.map_or_else(|| "[]".to_owned(), |count| format!("[{count}]"))
                };
                format!("{}{}", inner(), counts.iter().map(text).collect::<String>())
            }
            DW_TAG_subroutine_type => self.function_name_of_type(unit, &entry, depth),
            _ => self
                .text(unit, &entry, gimli::DW_AT_name)
                .unwrap_or_else(|| "<unnamed-tag>".to_owned()),
        }
    }

    /// `int (*)(char*, int)`.
    fn function_name_of_type(&self, unit: &Unit, entry: &Entry, depth: usize) -> String {
        let next = depth.saturating_add(1);
        let mut list: Vec<String> = Vec::new();
        self.for_each_child(unit, entry, |child| {
            if child.tag() == gimli::DW_TAG_formal_parameter && list.len() < 64 {
                list.push(self.type_name(self.type_id(unit, child), next));
            }
        });
        let result = self.type_name(self.type_id(unit, entry), next);
        format!("{result} (*)({})", list.join(", "))
    }

    fn size_of(&self, id: Option<u64>, depth: usize) -> Option<u64> {
        let (unit, entry) = self.type_entry(id?)?;
        if let Some(size) = entry.attr_value(DW_AT_byte_size).and_then(|value| value.udata_value())
        {
            return Some(size);
        }
        if depth > MAX_STEPS {
            return None;
        }
        let inner = || self.size_of(self.type_id(unit, &entry), depth.saturating_add(1));
        match entry.tag() {
            DW_TAG_pointer_type | DW_TAG_reference_type | DW_TAG_rvalue_reference_type => {
                Some(unit.header.address_size().into())
            }
            DW_TAG_array_type => {
                let counts = self.counts(unit, &entry);
                counts.iter().try_fold(inner()?, |size, count| size.checked_mul((*count)?))
            }
            DW_TAG_typedef
            | DW_TAG_const_type
            | DW_TAG_volatile_type
            | DW_TAG_restrict_type
            | DW_TAG_atomic_type
            | DW_TAG_enumeration_type => inner(),
            _ => None,
        }
    }

    /// Elements of each dimension; `None` where the array says no number.
    fn counts(&self, unit: &Unit, entry: &Entry) -> Vec<Option<u64>> {
        let mut list = Vec::new();
        self.for_each_child(unit, entry, |child| {
            if child.tag() == DW_TAG_subrange_type && list.len() < 16 {
                let number = |name| child.attr_value(name).and_then(|value| value.udata_value());
                let count = number(DW_AT_count)
                    .or_else(|| number(DW_AT_upper_bound).and_then(|last| last.checked_add(1)));
                // The array without bound says -1 in some compilers.
                list.push(count.filter(|count| *count < 1 << 48));
            }
        });
        list
    }

    /// Calls `work` for the direct children, at most as many as fields are told.
    fn for_each_child(&self, unit: &Unit, entry: &Entry, mut work: impl FnMut(&Entry)) {
        let Ok(mut tree) = unit.entries_tree(Some(entry.offset())) else { return };
        let Ok(root) = tree.root() else { return };
        let mut children = root.children();
        let mut left = MAX_FIELDS.saturating_mul(8);
        while let (Ok(Some(child)), true) = (children.next(), left > 0) {
            left = left.saturating_sub(1);
            work(child.entry());
        }
    }

    fn add_fields(&self, unit: &Unit, entry: &Entry, described: &mut Type) {
        let mut fields = Vec::new();
        self.for_each_child(unit, entry, |child| {
            let is_base = child.tag() == DW_TAG_inheritance;
            let is_variant = child.tag() == DW_TAG_variant_part;
            // A member without place is a static one.
            let is_field = child.tag() == DW_TAG_member
                && (child.attr_value(gimli::DW_AT_external).is_none()
                    || child.attr_value(DW_AT_data_member_location).is_some());
            if !(is_base || is_field) || is_variant {
                return;
            }
            if fields.len() >= MAX_FIELDS {
                described.is_cut = true;
                return;
            }
            fields.push(self.field(unit, child, is_base));
        });
        fields.sort_by_key(|field: &Field| (field.offset, field.bit_offset));
        described.fields = fields;
    }

    fn field(&self, unit: &Unit, entry: &Entry, is_base: bool) -> Field {
        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        let of = self.type_ref(self.type_id(unit, entry));
        let mut offset = member_offset(unit, entry).unwrap_or(0);
        let bit_size = number(DW_AT_bit_size);
        let storage = number(DW_AT_byte_size).or(of.size).unwrap_or(4).max(1);
        let mut bit_offset = None;
        if let Some(size) = bit_size {
            if let Some(from_start) = number(DW_AT_data_bit_offset) {
                let unit_bits = storage.saturating_mul(8);
                let first = from_start.checked_div(unit_bits).unwrap_or(0).saturating_mul(storage);
                offset = offset.saturating_add(first);
                bit_offset = Some(from_start.saturating_sub(first.saturating_mul(8)));
            } else {
                // DWARF 2 and 3 count from the most significant bit of the storage.
                let from_top = number(DW_AT_bit_offset).unwrap_or(0);
                let bits = storage.saturating_mul(8);
                bit_offset = Some(bits.saturating_sub(from_top).saturating_sub(size));
            }
        }
        Field {
            name: self.text(unit, entry, gimli::DW_AT_name).unwrap_or_default(),
            offset,
            is_base,
            bit_offset,
            bit_size,
            of,
        }
    }

    fn add_enumerators(&self, unit: &Unit, entry: &Entry, described: &mut Type) {
        let mut list = Vec::new();
        self.for_each_child(unit, entry, |child| {
            if child.tag() != DW_TAG_enumerator || list.len() >= MAX_FIELDS {
                return;
            }
            let value = child.attr_value(DW_AT_const_value);
            let value = value.and_then(|value| {
                value.sdata_value().or_else(|| value.udata_value().map(u64::cast_signed))
            });
            let name = self.text(unit, child, gimli::DW_AT_name);
            if let (Some(name), Some(value)) = (name, value) {
                list.push(Enumerator { name, value });
            }
        });
        described.enumerators = list;
        described.encoding = Some(Encoding::Signed);
    }

    /// Arrays of several dimensions are told as one, with the elements of all but the first as
    /// the element's size.
    fn add_dimensions(&self, unit: &Unit, entry: &Entry, described: &mut Type) {
        let counts = self.counts(unit, entry);
        described.count = counts.iter().try_fold(1_u64, |all, count| all.checked_mul((*count)?));
    }
}

/// A number, or until DWARF 2 an expression that adds one.
fn member_offset(unit: &Unit, entry: &Entry) -> Option<u64> {
    let value = entry.attr_value(DW_AT_data_member_location)?;
    if let AttributeValue::Exprloc(expression) = &value {
        return match expression.clone().operations(unit.encoding()).next() {
            Ok(Some(gimli::Operation::PlusConstant { value })) => Some(value),
            _ => None,
        };
    }
    value.udata_value()
}

fn kind_of(entry: &Entry) -> Option<Kind> {
    let is_declared = entry.attr_value(DW_AT_declaration).is_some();
    Some(match entry.tag() {
        DW_TAG_base_type => Kind::Base,
        DW_TAG_pointer_type => Kind::Pointer,
        DW_TAG_reference_type | DW_TAG_rvalue_reference_type => Kind::Reference,
        DW_TAG_structure_type | DW_TAG_class_type | DW_TAG_union_type if is_declared => {
            Kind::Declared
        }
        DW_TAG_structure_type => Kind::Struct,
        DW_TAG_class_type => Kind::Class,
        DW_TAG_union_type => Kind::Union,
        DW_TAG_enumeration_type => Kind::Enum,
        DW_TAG_array_type => Kind::Array,
        DW_TAG_typedef => Kind::Typedef,
        DW_TAG_const_type | DW_TAG_volatile_type | DW_TAG_restrict_type | DW_TAG_atomic_type => {
            Kind::Modifier
        }
        DW_TAG_subroutine_type => Kind::Function,
        DW_TAG_unspecified_type => Kind::Void,
        _ => return None,
    })
}

fn encoding_of(entry: &Entry) -> Option<Encoding> {
    let AttributeValue::Encoding(encoding) = entry.attr_value(DW_AT_encoding)? else { return None };
    Some(match encoding {
        gimli::DW_ATE_boolean => Encoding::Bool,
        gimli::DW_ATE_float => Encoding::Float,
        gimli::DW_ATE_signed => Encoding::Signed,
        gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char | gimli::DW_ATE_UTF => {
            Encoding::Char
        }
        _ => Encoding::Unsigned,
    })
}
