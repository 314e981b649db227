//! DWARF register numbers and minidump-unwind's register names.
//!
//! Sources: System V ABI AMD64 (figure 3.36), i386 (figure 2.14), DWARF for the Arm 32-bit
//! (section 4.1) and 64-bit (section 4.1) architectures.

use gimli::Register;
use lastwords_symbols::Architecture;

const X86: [&str; 9] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"];
const X86_64: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];
const ARM: [&str; 16] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "fp", "r12", "sp", "lr",
    "pc",
];
const AARCH64: [&str; 32] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "fp", "lr", "sp",
];

/// What unwinding must know of an instruction set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    names: &'static [&'static str],
    pub(crate) stack_pointer: Register,
    /// The register that stands for the current instruction in expressions, where there is one.
    pub(crate) program_counter: Option<Register>,
    /// What minidump-unwind subtracts of a return address to come into the call instruction.
    pub(crate) call_bytes: u64,
    /// Whether a return address without rule is still in its register (the link register).
    pub(crate) has_link_register: bool,
    address_mask: u64,
}

impl Registers {
    pub(crate) fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::X86 => Self {
                names: &X86,
                stack_pointer: Register(4),
                program_counter: Some(Register(8)),
                call_bytes: 1,
                has_link_register: false,
                address_mask: u64::from(u32::MAX),
            },
            Architecture::X86_64 => Self {
                names: &X86_64,
                stack_pointer: Register(7),
                program_counter: Some(Register(16)),
                call_bytes: 1,
                has_link_register: false,
                address_mask: u64::MAX,
            },
            Architecture::Arm => Self {
                names: &ARM,
                stack_pointer: Register(13),
                program_counter: Some(Register(15)),
                call_bytes: 2,
                has_link_register: true,
                address_mask: u64::from(u32::MAX),
            },
            Architecture::Aarch64 => Self {
                names: &AARCH64,
                stack_pointer: Register(31),
                program_counter: None,
                call_bytes: 4,
                has_link_register: true,
                address_mask: u64::MAX,
            },
        }
    }

    /// The name of the stack pointer.
    pub(crate) fn stack_name(&self) -> &'static str {
        self.name(self.stack_pointer).unwrap_or_default()
    }

    /// The name of the register that holds the current instruction.
    pub(crate) fn instruction_name(&self) -> &'static str {
        self.program_counter.and_then(|register| self.name(register)).unwrap_or("pc")
    }

    /// The name by which minidump-unwind knows a register; `None` for vector, segment and
    /// other registers that are not unwound.
    pub(crate) fn name(&self, register: Register) -> Option<&'static str> {
        self.names.get(usize::from(register.0)).copied()
    }

    /// The DWARF number of a register that has a name here.
    pub(crate) fn number(&self, name: &str) -> Option<u8> {
        let index = self.names.iter().position(|known| *known == name)?;
        u8::try_from(index).ok()
    }

    /// Size of what a call pushes.
    pub(crate) fn word_bytes(&self) -> u64 {
        if self.address_mask == u64::MAX { 8 } else { 4 }
    }

    /// `base + offset` in the address space of the target.
    pub(crate) fn add(&self, base: u64, offset: i64) -> u64 {
        base.wrapping_add_signed(offset) & self.address_mask
    }

    /// Cuts a value to the size of a register.
    pub(crate) fn truncate(&self, value: u64) -> u64 {
        value & self.address_mask
    }
}
