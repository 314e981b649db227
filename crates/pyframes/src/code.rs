//! Code objects: names, file and line table, each read once.

use std::collections::HashMap;
use std::rc::Rc;

use crate::lines::{LineTableFormat, Location, locate};
use crate::objects::Objects;
use crate::source::Fault;

/// What frames need of a code object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub name: Result<String, Fault>,
    /// `None` = this version has none.
    pub qualname: Option<Result<String, Fault>>,
    pub file: Result<String, Fault>,
    /// Address of the bytecode and its length in code units (3.11 and later).
    pub bytecode: Option<(u64, u64)>,
    pub first_traceable: i64,
    first_line: i32,
    line_table: Result<Vec<u8>, Fault>,
}

/// The code objects met so far.
#[derive(Default)]
pub(crate) struct Codes {
    known: HashMap<u64, Result<Rc<Code>, Fault>>,
    locations: HashMap<(u64, i32), Result<Location, Fault>>,
}

impl Codes {
    /// The code object at `address`.
    ///
    /// # Errors
    /// What is there is not a code object, or cannot be read.
    pub fn get(&mut self, objects: &mut Objects<'_>, address: u64) -> Result<Rc<Code>, Fault> {
        if let Some(known) = self.known.get(&address) {
            return known.clone();
        }
        let code = Code::read(objects, address).map(Rc::new);
        self.known.insert(address, code.clone());
        code
    }

    /// Where the instruction at byte offset `lasti` of the code object comes from.
    ///
    /// Decoding is paid from the budget of bytes, because hostile frames could ask for the
    /// end of a long table again and again.
    pub fn locate(
        &mut self,
        objects: &mut Objects<'_>,
        address: u64,
        lasti: i32,
    ) -> Result<Location, Fault> {
        if let Some(known) = self.locations.get(&(address, lasti)) {
            return known.clone();
        }
        let code = self.get(objects, address)?;
        let location = code.locate(objects, address, lasti);
        self.locations.insert((address, lasti), location.clone());
        location
    }
}

impl Code {
    fn read(objects: &mut Objects<'_>, address: u64) -> Result<Self, Fault> {
        let layout = objects.layout;
        let fields = layout.code;
        let optional = |field: Option<_>| field.unwrap_or(fields.name);
        let record = objects.source.record(
            address,
            &[
                layout.object_type,
                layout.var_size,
                fields.file,
                fields.name,
                optional(fields.qualname),
                fields.line_table,
                fields.first_line,
                optional(fields.first_traceable),
            ],
        )?;
        objects.expect_type(address, record.get(layout.object_type)?, "code")?;
        let first_traceable = match fields.first_traceable {
            Some(field) => record.get_i32(field)?.into(),
            None => 0,
        };
        let units = record.get(layout.var_size)?;
        let qualname = fields.qualname.map(|field| record.get(field)).transpose()?;
        let line_table = record.get(fields.line_table)?;
        Ok(Self {
            name: objects.string(record.get(fields.name)?),
            qualname: qualname.map(|pointer| objects.string(pointer)),
            file: objects.string(record.get(fields.file)?),
            bytecode: fields.bytecode.map(|offset| (address.saturating_add(offset), units)),
            first_traceable,
            first_line: record.get_i32(fields.first_line)?,
            line_table: objects.line_table(line_table),
        })
    }

    fn locate(
        &self,
        objects: &mut Objects<'_>,
        address: u64,
        lasti: i32,
    ) -> Result<Location, Fault> {
        let table = self.line_table.as_ref().map_err(Clone::clone)?;
        objects.source.spend(table.len())?;
        let has_bytecode = self.bytecode.is_some();
        let format = if has_bytecode { LineTableFormat::V3_11 } else { LineTableFormat::V3_10 };
        locate(format, self.first_line, table, lasti).ok_or(Fault::Implausible {
            what: "the instruction of a frame of the code object",
            address,
            found: u64::from(lasti.unsigned_abs()),
            expected: "one that its line table covers",
        })
    }
}
