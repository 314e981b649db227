//! What is told by its name: functions, modules, types.

use super::Writer;
use crate::layout::values::{BUILTIN_DEFINITION, METHOD_FUNCTION, MODULE_NAME, WORD};
use crate::source::Fault;

const MAX_NAME: usize = 256;

impl Writer<'_, '_> {
    pub(super) fn function(&mut self, address: u64) -> Result<(), Fault> {
        let name = self.function_name(address)?;
        self.push(&format!("<function {name}>"));
        Ok(())
    }

    fn function_name(&mut self, address: u64) -> Result<String, Fault> {
        let qualname = self.reader.layout.function.qualname;
        let qualname = self.reader.field(address, qualname)?;
        Ok(self.reader.exact_text(qualname, MAX_NAME)?.text)
    }

    pub(super) fn method(&mut self, address: u64) -> Result<(), Fault> {
        let function = self.reader.field(address, METHOD_FUNCTION)?;
        if self.reader.type_of(function)?.built_in() != "function" {
            return self.other(address);
        }
        let name = self.function_name(function)?;
        self.push(&format!("<bound method {name}>"));
        Ok(())
    }

    pub(super) fn built_in_function(&mut self, address: u64) -> Result<(), Fault> {
        let definition = self.reader.field(address, BUILTIN_DEFINITION)?;
        let name = self.reader.field(definition, WORD)?;
        let name = self.reader.source().c_string(name, MAX_NAME)?;
        self.push(&format!("<built-in {name}>"));
        Ok(())
    }

    pub(super) fn module(&mut self, address: u64) -> Result<(), Fault> {
        let name = self.reader.field(address, MODULE_NAME)?;
        let name = self.reader.exact_text(name, MAX_NAME)?.text;
        self.push(&format!("<module {name}>"));
        Ok(())
    }

    pub(super) fn class(&mut self, address: u64) -> Result<(), Fault> {
        let of = self.reader.type_at(address)?;
        let name = self.reader.full_name(&of);
        self.push(&format!("<class {name}>"));
        Ok(())
    }
}
