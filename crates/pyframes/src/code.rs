//! Code objects: names, file and line table, each read once.

use std::collections::HashMap;
use std::rc::Rc;

use crate::layout::Field;
use crate::lines::{LineTableFormat, Location, locate};
use crate::objects::Objects;
use crate::source::Fault;

const COPY_COUNT: Field = Field { offset: 0, width: 8 };
/// More threads than that have no copy of their own.
const MAX_COPIES: u64 = 1 << 20;

/// What frames need of a code object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub name: Result<String, Fault>,
    /// `None` = this version has none.
    pub qualname: Option<Result<String, Fault>>,
    pub file: Result<String, Fault>,
    /// Address of the bytecode and its length in code units (3.11 and later).
    pub bytecode: Option<(u64, u64)>,
    /// Address of `_PyCodeArray`, the copies of the bytecode that threads run; 0 = there are none.
    thread_bytecodes: u64,
    pub first_traceable: i64,
    first_line: i32,
    line_table_format: LineTableFormat,
    line_table: Result<Vec<u8>, Fault>,
}

/// The code objects met so far.
#[derive(Default)]
pub(crate) struct Codes {
    known: HashMap<u64, Result<Rc<Code>, Fault>>,
    locations: HashMap<(u64, i32), Result<Location, Fault>>,
    copies: HashMap<(u64, i32), Result<u64, Fault>>,
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

    /// Address and length in code units of a thread's own copy of the bytecode, `index` of its
    /// code object's copies (3.14 and later, without a GIL).
    ///
    /// # Errors
    /// There is no such copy, or it cannot be read.
    pub fn bytecode_copy(
        &mut self,
        objects: &mut Objects<'_>,
        address: u64,
        index: i32,
    ) -> Result<Option<(u64, u64)>, Fault> {
        let code = self.get(objects, address)?;
        let known = self.copies.get(&(address, index)).cloned();
        let start = known.unwrap_or_else(|| {
            let start = read_copy(objects, code.thread_bytecodes, index);
            self.copies.insert((address, index), start.clone());
            start
        });
        start.map(|start| code.bytecode.map(|(_, units)| (start, units)))
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

/// Entry `index` of the `_PyCodeArray` at `array` (`Include/cpython/code.h`, 3.14): a count,
/// then as many addresses of bytecode, the first that of the code object itself.
fn read_copy(objects: &mut Objects<'_>, array: u64, index: i32) -> Result<u64, Fault> {
    let no_entry = |found| Fault::Implausible {
        what: "the index of a frame's bytecode",
        address: array,
        found,
        expected: "that of an entry of co_tlbc",
    };
    let count = objects.source.record(array, &[COPY_COUNT])?.get(COPY_COUNT)?;
    let index = u64::try_from(index).map_err(|_| no_entry(u64::MAX))?;
    if index >= count.min(MAX_COPIES) {
        return Err(no_entry(index));
    }
    let entry = Field { offset: index.saturating_add(1).saturating_mul(8), width: 8 };
    objects.source.record(array, &[entry])?.get(entry)
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
                optional(fields.thread_bytecodes),
            ],
        )?;
        objects.expect_type(address, record.get(layout.object_type)?, "code")?;
        let first_traceable = match fields.first_traceable {
            Some(field) => record.get_i32(field)?.into(),
            None => 0,
        };
        let units = record.get(layout.var_size)?;
        let qualname = fields.qualname.map(|field| record.get(field)).transpose()?;
        let thread_bytecodes = fields.thread_bytecodes.map_or(Ok(0), |field| record.get(field))?;
        let line_table = record.get(fields.line_table)?;
        Ok(Self {
            name: objects.string(record.get(fields.name)?),
            qualname: qualname.map(|pointer| objects.string(pointer)),
            file: objects.string(record.get(fields.file)?),
            bytecode: fields.bytecode.map(|offset| (address.saturating_add(offset), units)),
            thread_bytecodes,
            first_traceable,
            line_table_format: fields.line_table_format,
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
        locate(self.line_table_format, self.first_line, table, lasti).ok_or(Fault::Implausible {
            what: "the instruction of a frame of the code object",
            address,
            found: u64::from(lasti.unsigned_abs()),
            expected: "one that its line table covers",
        })
    }
}
