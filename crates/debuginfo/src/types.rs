//! What a type is, in words that hold for DWARF and PDB.

use serde::Serialize;

/// The kinds of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number, character or truth value.
    Base,
    /// `T*`.
    Pointer,
    /// `T&` and `T&&`.
    Reference,
    /// A structure.
    Struct,
    /// A class.
    Class,
    /// A union.
    Union,
    /// An enumeration.
    Enum,
    /// An array of one dimension; more are arrays of arrays.
    Array,
    /// Another name of a type.
    Typedef,
    /// `const`, `volatile`, …
    Modifier,
    /// A function.
    Function,
    /// `void`, or a type that is not told.
    Void,
    /// A part of a number; of PDB, where DWARF says it of the field.
    Bitfield,
    /// Only its name is known.
    Declared,
}

/// How a base type's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Two's complement.
    Signed,
    /// Without sign.
    Unsigned,
    /// IEEE 754, or the processor's own 80 bits.
    Float,
    /// 0 = false.
    Bool,
    /// A character.
    Char,
}

/// A type, named but not described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeRef {
    /// For [`crate::DebugInfo::describe`]; `None` = `void`.
    pub id: Option<u64>,
    /// As in the source: `char*`, `struct Point[4]`.
    pub name: String,
    /// Bytes; `None` when not told.
    pub size: Option<u64>,
    /// What is behind its other names and modifiers.
    pub kind: Kind,
}

/// A field of a structure, class or union, or a base of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Empty for anonymous unions and structures.
    pub name: String,
    /// Bytes from the start.
    pub offset: u64,
    /// Whether it is a base class.
    pub is_base: bool,
    /// Bits from the start of the bytes at `offset`, the least significant one first.
    pub bit_offset: Option<u64>,
    /// Bits; `None` for what is no bit field.
    pub bit_size: Option<u64>,
    /// Its type.
    #[serde(rename = "type")]
    pub of: TypeRef,
}

/// One value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enumerator {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i64,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Type {
    /// The id that it was asked by.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// As in the source.
    pub name: String,
    /// Bytes; `None` when not told.
    pub size: Option<u64>,
    /// Of base types.
    pub encoding: Option<Encoding>,
    /// What it points to, is made of, or is another name of.
    pub target: Option<TypeRef>,
    /// Elements of an array.
    pub count: Option<u64>,
    /// Fields by offset.
    pub fields: Vec<Field>,
    /// Values of an enumeration.
    pub enumerators: Vec<Enumerator>,
    /// Of a bit field that is a type.
    pub bit_offset: Option<u64>,
    /// Of a bit field that is a type.
    pub bit_size: Option<u64>,
    /// Whether there are more fields or values than are told.
    pub is_cut: bool,
}

impl Type {
    pub(crate) fn new(id: u64, kind: Kind) -> Self {
        Self {
            id,
            kind,
            name: String::new(),
            size: None,
            encoding: None,
            target: None,
            count: None,
            fields: Vec::new(),
            enumerators: Vec::new(),
            bit_offset: None,
            bit_size: None,
            is_cut: false,
        }
    }
}

/// A type in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeEntry {
    /// For [`crate::DebugInfo::describe`].
    pub id: u64,
    /// Its full name.
    pub name: String,
    /// Bytes; `None` when not told.
    pub size: Option<u64>,
}

/// Fields of one type that are told.
pub(crate) const MAX_FIELDS: usize = 4_096;
/// Steps from a type to what is behind it.
pub(crate) const MAX_STEPS: usize = 64;
