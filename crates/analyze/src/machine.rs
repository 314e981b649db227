//! Which instruction set runs at an address.

use lastwords_disasm::Machine;
use minidump::system_info::{Cpu, Os};
use minidump::{Endian, MinidumpContext, MinidumpRawContext};

/// `CPSR.T`: Thumb instructions (ARM ARM, DDI 0406C, B1.3.3).
const THUMB: u32 = 1 << 5;
/// The registers of MIPS by their numbers (MIPS ABI), as disassembly names them.
const MIPS_NAMES: [&str; 32] = [
    "zero", "at", "v0", "v1", "a0", "a1", "a2", "a3", "t0", "t1", "t2", "t3", "t4", "t5", "t6",
    "t7", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "t8", "t9", "k0", "k1", "gp", "sp", "fp",
    "ra",
];

/// The instruction set of the code that `context` runs; `None` when it is not known here.
pub(crate) fn machine(
    os: Os,
    cpu: Cpu,
    endian: Endian,
    context: Option<&MinidumpContext>,
) -> Option<Machine> {
    match cpu {
        Cpu::X86 => Some(Machine::X86),
        Cpu::X86_64 => Some(Machine::X86_64),
        Cpu::Arm64 => Some(Machine::Arm64),
        Cpu::Arm if os == Os::Windows || is_thumb(context) => Some(Machine::Thumb),
        Cpu::Arm => Some(Machine::Arm),
        Cpu::Mips | Cpu::Mips64 => Some(Machine::Mips { is_big_endian: endian == Endian::Big }),
        _ => None,
    }
}

fn is_thumb(context: Option<&MinidumpContext>) -> bool {
    matches!(context.map(|context| &context.raw), Some(MinidumpRawContext::Arm(raw)) if raw.cpsr & THUMB != 0)
}

/// A register by the name that disassembly gives it; `None` when it is not known.
pub(crate) fn register(context: &MinidumpContext, name: &str) -> Option<u64> {
    if let MinidumpRawContext::Mips(raw) = &context.raw {
        let number = MIPS_NAMES.iter().position(|known| *known == name);
        return number.and_then(|number| raw.iregs.get(number).copied());
    }
    context.get_register(name)
}
