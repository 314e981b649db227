//! Breakpad's names of registers, and DWARF expressions in its postfix notation.
//!
//! The notation has `+ - * / % @ ^` (the last reads a word) and registers; DWARF's shifts, comparisons
//! and bitwise operations cannot be said, so neither can the rules of a lazy procedure linkage table.
//! Sources: Breakpad, `docs/symbol_files.md`, `dwarf_cfi_to_module.cc`.

use gimli::{EndianSlice, Expression, Operation, Register, RunTimeEndian};

use crate::image::Architecture;

const X86: [&str; 9] = ["$eax", "$ecx", "$edx", "$ebx", "$esp", "$ebp", "$esi", "$edi", "$eip"];
const X86_64: [&str; 17] = [
    "$rax", "$rdx", "$rcx", "$rbx", "$rsi", "$rdi", "$rbp", "$rsp", "$r8", "$r9", "$r10", "$r11",
    "$r12", "$r13", "$r14", "$r15", "$rip",
];
const ARM: [&str; 16] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr",
    "pc",
];
const AARCH64: [&str; 32] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30", "sp",
];
/// Operations of one expression.
const MAX_OPERATIONS: usize = 256;

/// The name that `.sym` files have for a register by its DWARF number; `None` for registers that nobody
/// unwinds.
pub fn register_name(architecture: Architecture, register: Register) -> Option<&'static str> {
    let names: &[&str] = match architecture {
        Architecture::X86 => &X86,
        Architecture::X86_64 => &X86_64,
        Architecture::Arm => &ARM,
        Architecture::Aarch64 => &AARCH64,
    };
    names.get(usize::from(register.0)).copied()
}

/// An expression in postfix notation; `has_cfa`: the CFA is on its stack when it begins. `None` when
/// it cannot be said.
pub(super) fn postfix(
    expression: Expression<EndianSlice<'_, RunTimeEndian>>,
    encoding: gimli::Encoding,
    architecture: Architecture,
    has_cfa: bool,
) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    if has_cfa {
        words.push(".cfa".to_owned());
    }
    let mut operations = expression.operations(encoding);
    for _ in 0..MAX_OPERATIONS {
        let Some(operation) = operations.next().ok()? else {
            return (!words.is_empty()).then(|| words.join(" "));
        };
        let word = match operation {
            Operation::RegisterOffset { register, offset, .. } => {
                format!("{} {offset} +", register_name(architecture, register)?)
            }
            Operation::UnsignedConstant { value } => value.to_string(),
            Operation::SignedConstant { value } => value.to_string(),
            Operation::PlusConstant { value } => format!("{value} +"),
            Operation::Deref { size, space: false, .. } if size == architecture.address_size() => {
                "^".to_owned()
            }
            Operation::Plus => "+".to_owned(),
            Operation::Minus => "-".to_owned(),
            Operation::Mul => "*".to_owned(),
            Operation::Div => "/".to_owned(),
            Operation::Mod => "%".to_owned(),
            Operation::Nop => continue,
            _ => return None,
        };
        words.push(word);
    }
    None
}
