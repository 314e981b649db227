//! Signal trampolines of Linux without call frame information: told by their code.
//!
//! The kernel puts the interrupted registers on the stack, and lets the handler return into code that only
//! makes the system call which restores them. Where the registers are, from the stack pointer on:
//!
//! | architecture | code | registers |
//! |---|---|---|
//! | x86-64 | `mov rax, 15; syscall` | 40: r8 … r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip |
//! | x86 | `pop eax; mov eax, 119; int 0x80` | 4: gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, -, -, eip |
//! | x86 | `mov eax, 173; int 0x80` | 20 behind the address at 8: the same |
//! | ARM | `mov r7, 119; svc` | 32 (old kernels 12): r0 … pc |
//! | ARM | `mov r7, 173; svc` | 160 (old kernels 168): r0 … pc |
//! | AArch64 | `mov x8, 139; svc 0` | 312: x0 … x30, sp, pc |
//!
//! Source: Linux, `arch/*/include/uapi/asm/sigcontext.h`, `ucontext.h` and `signal.c`.

use lastwords_symbols::{Architecture, Image, ImageFormat};
use minidump_unwind::FrameWalker;

use crate::bytes::u32_at;
use crate::caller::Caller;
use crate::registers::Registers;
use crate::trampoline::FoundTrampoline;

/// What the kernel writes into the first word of a frame whose registers are further behind.
const ARM_MARK: u64 = 0x5ac3_c35a;
const ARM_SIGRETURN: [u32; 3] = [0xe3a0_7077, 0xef90_0077, 0xdf00_2777];
const ARM_RT_SIGRETURN: [u32; 3] = [0xe3a0_70ad, 0xef90_00ad, 0xdf00_27ad];
const ARM64_SIGRETURN: [u32; 2] = [0xd280_1168, 0xd400_0001];
const X86_SIGRETURN: &[u8] = &[0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80];
const X86_RT_SIGRETURN: &[u8] = &[0xb8, 0xad, 0, 0, 0, 0xcd, 0x80];
const X86_64_SIGRETURN: &[u8] = &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
const X86_64_SIGRETURN_32: &[u8] = &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05];
const MAX_CODE_BYTES: usize = 9;

const X86_64: [&str; 17] = [
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax",
    "rcx", "rsp", "rip",
];
const X86: [&str; 15] =
    ["", "", "", "", "edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax", "", "", "eip"];
const ARM: [&str; 16] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "fp", "r12", "sp", "lr",
    "pc",
];
const ARM64: [&str; 33] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "fp", "lr", "sp", "pc",
];

/// Kinds of trampolines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trampoline {
    X86,
    X86Rt,
    X86_64,
    Arm,
    ArmRt,
    Aarch64,
}

/// Kinds by their numbers in the symbol cache.
pub(crate) const CODES: [Trampoline; 6] = [
    Trampoline::X86,
    Trampoline::X86Rt,
    Trampoline::X86_64,
    Trampoline::Arm,
    Trampoline::ArmRt,
    Trampoline::Aarch64,
];

impl Trampoline {
    /// Whose code it is.
    pub(crate) fn architecture(self) -> Architecture {
        match self {
            Self::X86 | Self::X86Rt => Architecture::X86,
            Self::X86_64 => Architecture::X86_64,
            Self::Arm | Self::ArmRt => Architecture::Arm,
            Self::Aarch64 => Architecture::Aarch64,
        }
    }
}

/// The trampoline of an ELF image whose instruction lies at `rva`, or one call behind: the return address
/// into it is its first byte.
pub(crate) fn find(image: &Image, rva: u64) -> Option<FoundTrampoline> {
    if image.format() != ImageFormat::Elf {
        return None;
    }
    let address = image.image_base().checked_add(rva)?;
    let is_arm = image.architecture() == Architecture::Arm;
    let address = if is_arm { address & !1 } else { address };
    let step = Registers::of(image.architecture()).call_bytes;
    let mut places = [Some(address), address.checked_add(step)].into_iter().flatten();
    places.find_map(|place| {
        let start_rva = place.checked_sub(image.image_base())?;
        Some(FoundTrampoline { start_rva, code: Some(kind(image, place)?) })
    })
}

/// What a trampoline's signal interrupted.
pub(crate) fn caller(kind: Trampoline, walker: &(dyn FrameWalker + Send)) -> Option<Caller> {
    let registers = Registers::of(kind.architecture());
    let read = |address: u64| walker.get_register_at_address(address);
    let sp = walker.get_callee_register(registers.stack_name())?;
    let behind = |bytes: u64| sp.checked_add(bytes);
    let (names, width, start): (&[&'static str], u64, u64) = match kind {
        Trampoline::X86_64 => (&X86_64, 8, behind(40)?),
        Trampoline::X86 => (&X86, 4, behind(4)?),
        Trampoline::X86Rt => (&X86, 4, read(behind(8)?)?.checked_add(20)?),
        Trampoline::Arm if read(sp) == Some(ARM_MARK) => (&ARM, 4, behind(32)?),
        Trampoline::Arm => (&ARM, 4, behind(12)?),
        // Old kernels put the addresses of the two structures first.
        Trampoline::ArmRt if read(sp) == behind(8) => (&ARM, 4, behind(168)?),
        Trampoline::ArmRt => (&ARM, 4, behind(160)?),
        Trampoline::Aarch64 => (&ARM64, 8, behind(312)?),
    };
    let values = (0u64..)
        .zip(names)
        .map(|(index, name)| Some((*name, read(start.checked_add(index.checked_mul(width)?)?)?)));
    interrupted(registers, values.collect::<Option<Vec<_>>>()?)
}

/// The address is exact, and must survive the step back.
fn interrupted(registers: Registers, values: Vec<(&'static str, u64)>) -> Option<Caller> {
    let value = |wanted: &str| values.iter().find(|(name, _)| *name == wanted).map(|(_, v)| *v);
    let cfa = value(registers.stack_name())?;
    let return_address = value(registers.instruction_name())?.checked_add(registers.call_bytes)?;
    let is_other = |name: &str| {
        !name.is_empty() && name != registers.stack_name() && name != registers.instruction_name()
    };
    let others = values.iter().filter(|(name, _)| is_other(name));
    let registers = others.map(|(name, value)| (*name, Some(*value))).collect();
    Some(Caller::Frame { cfa, return_address, registers })
}

fn kind(image: &Image, address: u64) -> Option<Trampoline> {
    let code = image.bytes_at(address, MAX_CODE_BYTES);
    let word = |at| u32_at(code, at);
    match image.architecture() {
        Architecture::X86_64 => [X86_64_SIGRETURN, X86_64_SIGRETURN_32]
            .iter()
            .any(|bytes| code.starts_with(bytes))
            .then_some(Trampoline::X86_64),
        Architecture::X86 if code.starts_with(X86_SIGRETURN) => Some(Trampoline::X86),
        Architecture::X86 => code.starts_with(X86_RT_SIGRETURN).then_some(Trampoline::X86Rt),
        Architecture::Arm if ARM_SIGRETURN.contains(&word(0)?) => Some(Trampoline::Arm),
        Architecture::Arm => ARM_RT_SIGRETURN.contains(&word(0)?).then_some(Trampoline::ArmRt),
        Architecture::Aarch64 => {
            ([word(0)?, word(4)?] == ARM64_SIGRETURN).then_some(Trampoline::Aarch64)
        }
    }
}
