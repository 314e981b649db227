//! Breakpad `.sym` text for a module.

use std::fmt::Write;

use crate::Module;

/// A function with one call frame rule: its frame has a fixed size.
#[derive(Debug, Clone)]
pub struct Function {
    /// Offset in its module.
    pub rva: u64,
    /// Code size in bytes.
    pub size: u64,
    /// Name.
    pub name: &'static str,
    /// Size of its stack frame, return address included; `None` = no call frame information.
    pub frame_size: Option<u64>,
}

/// The `.sym` file of `module`; it lies at `NAME/ID/NAME.sym` in a tree of symbols.
#[must_use]
pub fn symbol_file(module: &Module, functions: &[Function]) -> String {
    let mut text = format!("MODULE Linux x86_64 {} {}\n", module.breakpad_id(), module.leaf());
    for Function { rva, size, name, frame_size } in functions {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "FUNC {rva:x} {size:x} 0 {name}");
        if let Some(frame_size) = frame_size {
            let rules = format!(".cfa: $rsp {frame_size} + .ra: .cfa 8 - ^");
            let _ = writeln!(text, "STACK CFI INIT {rva:x} {size:x} {rules}");
        }
    }
    text
}
