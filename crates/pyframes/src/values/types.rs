//! Types of objects: what they are called, and whether they are built in.

use std::rc::Rc;

use super::Reader;
use crate::layout::values::{TYPE_BASE, TYPE_BASIC_SIZE, TYPE_DICT, TYPE_DICT_OFFSET};
use crate::source::Fault;

/// `Py_TPFLAGS_HEAPTYPE`: made at run time, by `class` or by an extension module.
const IS_HEAP_TYPE: u64 = 1 << 9;
const MAX_TYPE_NAME: usize = 512;
const MAX_BASES: usize = 64;

/// A type of the target.
#[derive(Debug, Clone)]
pub(super) struct Type {
    pub address: u64,
    /// `tp_name`: with its module for types made in C, without for others.
    name: String,
    pub flags: u64,
    pub basic_size: u64,
    pub dict_offset: i64,
    base: u64,
    dict: u64,
}

impl Type {
    fn is_heap(&self) -> bool {
        self.flags & IS_HEAP_TYPE != 0
    }

    /// Its name, if it is a type made at compile time: what `class` makes may be called anything.
    pub fn built_in(&self) -> &str {
        if self.is_heap() { "" } else { &self.name }
    }
}

impl Reader<'_> {
    /// The type of the object at `address`.
    pub(super) fn type_of(&mut self, address: u64) -> Result<Rc<Type>, Fault> {
        let object_type = self.frames.objects.layout.object_type;
        let address = self.field(address, object_type)?;
        self.type_at(address)
    }

    /// The type at `address`.
    pub(super) fn type_at(&mut self, address: u64) -> Result<Rc<Type>, Fault> {
        if let Some(known) = self.types.get(&address) {
            return known.clone();
        }
        let read = self.read_type(address).map(Rc::new);
        self.types.insert(address, read.clone());
        read
    }

    fn read_type(&mut self, address: u64) -> Result<Type, Fault> {
        let (name, flags) = {
            let layout = &self.frames.objects.layout;
            (layout.type_name, layout.type_flags)
        };
        let wanted = [name, flags, TYPE_BASIC_SIZE, TYPE_BASE, TYPE_DICT, TYPE_DICT_OFFSET];
        let record = self.structure(address, &wanted)?;
        let pointer = record.get(name)?;
        Ok(Type {
            address,
            name: self.source().c_string(pointer, MAX_TYPE_NAME)?,
            flags: record.get(flags)?,
            basic_size: record.get(TYPE_BASIC_SIZE)?,
            dict_offset: record.get(TYPE_DICT_OFFSET)?.cast_signed(),
            base: record.get(TYPE_BASE)?,
            dict: record.get(TYPE_DICT)?,
        })
    }

    /// Module and qualified name; built-in types have no module.
    pub(super) fn full_name(&mut self, of: &Type) -> String {
        if !of.is_heap() {
            return of.name.clone();
        }
        let qualname = self.layout.heap_type.qualname;
        let qualname = self.field(of.address, qualname).and_then(|at| self.short_text(at));
        let name = qualname.unwrap_or_else(|_| of.name.clone());
        let module = self.lookup(of.dict, "__module__").ok().flatten();
        match module.and_then(|at| self.short_text(at).ok()) {
            Some(module) if module != "builtins" => format!("{module}.{name}"),
            _ => name,
        }
    }

    /// Whether a type, or one of those that its layout is made of, has this `tp_name`; one with
    /// a dot in it is no `class`.
    pub(super) fn is_based_on(&mut self, of: &Rc<Type>, name: &str) -> bool {
        self.base_named(of, &[name]).is_some()
    }

    /// The type of one of these names among a type and those that its layout is made of.
    pub(super) fn base_named(&mut self, of: &Rc<Type>, names: &[&str]) -> Option<Rc<Type>> {
        let mut of = Rc::clone(of);
        for _ in 0..MAX_BASES {
            let is_one = names.contains(&of.name.as_str());
            if is_one && (!of.is_heap() || of.name.contains('.')) {
                return Some(of);
            }
            if of.base == 0 {
                return None;
            }
            of = self.type_at(of.base).ok()?;
        }
        None
    }
}
