//! Code compiled for Windows and macOS, interrupted at every instruction: the caller's registers that the ABI
//! preserves must all come out.
//!
//! Needs Debian's `clang-19`, `lld-19` and `llvm-19`, or the same without the version; skipped without.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod emulate;
mod support;

use std::path::{Path, PathBuf};

use debugid::DebugId;
use emulate::{Function, RETURN_ADDRESS, STACK, State, arm64, functions, states, x86_64};
use lastwords_symbols::{ModuleSymbols, Sources};
use lastwords_synth::{llvm_tool, run_tool};
use lastwords_unwind::Provider;
use minidump::format::{CONTEXT_AMD64, CONTEXT_ARM64};
use minidump::system_info::Os;
use minidump::{CpuContext, MinidumpModule, MinidumpRawContext};
use minidump_unwind::{FrameTrust, StackFrame};
use support::{Target, code_view_module, walk_on};

const BASE: u64 = 0x10_0000_0000;

/// Frames of all kinds: none, small, with all preserved registers, large, with several ends, with vector
/// registers, and of a size that is not known before.
const SOURCE: &str = r#"
typedef unsigned long long u64;
#define OUTLINE __attribute__((noinline))
OUTLINE u64 leaf(u64 a, u64 b) { return a * b + 3; }
OUTLINE u64 outside(u64 a) { __asm__ volatile("" : "+r"(a)); return a + 1; }
OUTLINE u64 small(u64 a) { return outside(a) + outside(a + 1); }
OUTLINE u64 saved(u64 a, u64 b, u64 c, u64 d) {
    u64 e = outside(a), f = outside(b), g = outside(c), h = outside(d), i = outside(a ^ b);
    return e * outside(f) + g * outside(h) + i * outside(c ^ d) + a + b + c + d + e * f * g * h;
}
OUTLINE u64 large(u64 a) {
    volatile u64 buffer[300];
    for (int i = 0; i < 300; i++) buffer[i] = outside(a + i);
    return buffer[a % 300];
}
OUTLINE u64 early(u64 a, u64 b) {
    if (a == 7) return outside(b) + 1;
    u64 c = outside(a);
    if (c > b) return leaf(c, b);
    return outside(c) * b + c;
}
OUTLINE double floats(double a, double b) {
    double c = (double)outside((u64)a), d = (double)outside((u64)b);
    return a * b + c * d + (double)outside((u64)(c + d)) * a - b * c;
}
OUTLINE u64 dynamic(u64 a) {
    u64* p = __builtin_alloca(a * 8);
    for (u64 i = 0; i < a; i++) p[i] = outside(i);
    return p[a / 2] + outside(a);
}
u64 entry(u64 a) {
    return small(a) + saved(a, 1, 2, 3) + large(a) + early(a, 2) + (u64)floats(a, 2.0) + dynamic(a);
}
#ifdef _WIN32
void __chkstk(void) {}
int _fltused = 1;
#endif
"#;

const NAMES: [&str; 9] =
    ["leaf", "outside", "small", "saved", "large", "early", "floats", "dynamic", "entry"];

fn compile(folder: &Path, target: &str, flags: &[&str]) -> Option<()> {
    std::fs::write(folder.join("a.c"), SOURCE).unwrap();
    // A prologue that does not come first would be no prologue to the emulation.
    let fixed = ["-mllvm", "-enable-shrink-wrap=false", "-fno-builtin", "-c", "a.c", "-o", "a.o"];
    let target = format!("--target={target}");
    run_tool(llvm_tool("clang")?, folder, &[&["-O2", target.as_str()], flags, &fixed].concat());
    Some(())
}

fn windows(folder: &Path, architecture: &str) -> Option<PathBuf> {
    compile(folder, &format!("{architecture}-pc-windows-msvc"), &[])?;
    // With a symbol table, for the disassembler, and an id.
    let flags = ["/nodefaultlib", "/entry:entry", "/debug:symtab", "/build-id", "/out:a.exe"];
    run_tool(
        llvm_tool("lld-link")?,
        folder,
        &[&flags[..], &["/subsystem:console", "a.o"]].concat(),
    );
    Some(folder.join("a.exe"))
}

fn macos(folder: &Path, architecture: &str, flags: &[&str]) -> Option<PathBuf> {
    compile(folder, &format!("{architecture}-apple-macos12"), flags)?;
    let system = ["-platform_version", "macos", "12.0", "12.0", "-undefined", "dynamic_lookup"];
    let files = ["-arch", architecture, "-dylib", "-o", "a.dylib", "a.o"];
    run_tool(llvm_tool("ld64.lld")?, folder, &[&system[..], &files].concat());
    Some(folder.join("a.dylib"))
}

#[test]
fn exception_tables_of_x64_unwind_every_instruction() {
    let dir = tempfile::tempdir().unwrap();
    let Some(image) = windows(dir.path(), "x86_64") else { return };
    check(&image, &X64_WINDOWS);
}

#[test]
fn exception_tables_of_arm64_unwind_every_instruction() {
    let dir = tempfile::tempdir().unwrap();
    let Some(image) = windows(dir.path(), "aarch64") else { return };
    check(&image, &ARM64_WINDOWS);
}

#[test]
fn compact_unwind_information_unwinds_every_instruction() {
    for (architecture, machine) in [("x86_64", &X64_MACOS), ("arm64", &ARM64_MACOS)] {
        for flags in [&[][..], &["-fomit-frame-pointer"]] {
            let dir = tempfile::tempdir().unwrap();
            let Some(image) = macos(dir.path(), architecture, flags) else { return };
            check(&image, machine);
        }
    }
}

/// What differs between the instruction sets.
struct Machine {
    os: Os,
    stack_pointer: &'static str,
    /// Registers that the ABI preserves, as the emulation and as contexts name them.
    preserved: &'static [(&'static str, &'static str)],
    entry: fn() -> State,
    step: fn(&mut State, &str, &str) -> emulate::Step,
    context: fn(&State, u64) -> MinidumpRawContext,
    call_bytes: u64,
    pushes_return_address: bool,
}

const X64_WINDOWS: Machine = Machine {
    os: Os::Windows,
    stack_pointer: "rsp",
    preserved: &[
        ("rbx", "rbx"),
        ("rbp", "rbp"),
        ("rsi", "rsi"),
        ("rdi", "rdi"),
        ("r12", "r12"),
        ("r13", "r13"),
        ("r14", "r14"),
        ("r15", "r15"),
    ],
    entry: x86_64::entry,
    step: x86_64::run,
    context: amd64_context,
    call_bytes: 1,
    pushes_return_address: true,
};

const X64_MACOS: Machine = Machine {
    os: Os::MacOs,
    preserved: &[
        ("rbx", "rbx"),
        ("rbp", "rbp"),
        ("r12", "r12"),
        ("r13", "r13"),
        ("r14", "r14"),
        ("r15", "r15"),
    ],
    ..X64_WINDOWS
};

const ARM64_WINDOWS: Machine = Machine {
    os: Os::Windows,
    stack_pointer: "sp",
    preserved: &[
        ("x19", "x19"),
        ("x20", "x20"),
        ("x21", "x21"),
        ("x22", "x22"),
        ("x23", "x23"),
        ("x24", "x24"),
        ("x25", "x25"),
        ("x26", "x26"),
        ("x27", "x27"),
        ("x28", "x28"),
        ("x29", "fp"),
    ],
    entry: arm64::entry,
    step: arm64::run,
    context: arm64_context,
    call_bytes: 4,
    pushes_return_address: false,
};

const ARM64_MACOS: Machine = Machine { os: Os::MacOs, ..ARM64_WINDOWS };

fn amd64_context(state: &State, instruction: u64) -> MinidumpRawContext {
    let mut context = CONTEXT_AMD64 { rip: instruction, ..CONTEXT_AMD64::default() };
    for name in x86_64::NAMES {
        context.set_register(name, state.get(name)).unwrap();
    }
    MinidumpRawContext::Amd64(context)
}

fn arm64_context(state: &State, instruction: u64) -> MinidumpRawContext {
    let mut context = CONTEXT_ARM64 { pc: instruction, ..CONTEXT_ARM64::default() };
    for name in arm64::NAMES {
        let known = match name {
            "x29" => "fp",
            "x30" => "lr",
            _ => name,
        };
        context.set_register(known, state.get(name)).unwrap();
    }
    MinidumpRawContext::Arm64(context)
}

/// An image where it was loaded.
struct Loaded {
    provider: Provider,
    module: MinidumpModule,
    image_base: u64,
}

impl Loaded {
    fn new(image: &Path) -> Self {
        let symbols = ModuleSymbols::open(image);
        let debug_id = symbols.pe().and_then(|pe| pe.image()?.debug_id());
        let debug_id = debug_id.unwrap_or_else(|| {
            let uuid = symbols.macho().unwrap().code().unwrap().uuid().unwrap();
            let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
            hex.parse::<DebugId>().unwrap()
        });
        let sources = Sources { symbols: vec![image.to_owned()], ..Sources::default() };
        Self {
            provider: Provider::new(sources),
            module: code_view_module(BASE, 0x10_0000, image.to_str().unwrap(), debug_id),
            image_base: symbols.image_base(),
        }
    }

    fn frames(&self, machine: &Machine, state: &State, instruction: u64) -> Vec<StackFrame> {
        let (stack_start, stack) = state.stack(machine.stack_pointer);
        let target = Target {
            context: (machine.context)(state, instruction),
            stack_start,
            stack,
            modules: vec![self.module.clone()],
        };
        walk_on(&target, &[], machine.os, &self.provider).frames
    }
}

fn check(image: &Path, machine: &Machine) {
    let Some(disassembler) = llvm_tool("llvm-objdump") else { return };
    let arguments = ["-d", "--no-show-raw-insn", "--x86-asm-syntax=intel"];
    let folder = image.parent().unwrap();
    let listing =
        run_tool(disassembler, folder, &[&arguments[..], &[image.to_str().unwrap()]].concat());
    let loaded = Loaded::new(image);
    let (mut instructions, mut calls) = (0, 0);
    let functions = functions(&listing);
    let is_leaf = |function: &&Function| function.name.trim_start_matches('_') == "leaf";
    let leaf = BASE + functions.iter().find(is_leaf).unwrap().code[0].0 - loaded.image_base;
    // Not what the linker adds: stubs, whose code is no function's.
    let is_ours = |function: &&Function| NAMES.contains(&function.name.trim_start_matches('_'));
    for function in functions.iter().filter(is_ours) {
        for (address, state) in states(function, (machine.entry)(), machine.step) {
            let place = BASE + address - loaded.image_base;
            let frames = loaded.frames(machine, &state, place);
            assert_caller(&frames, 1, machine, &state, function, address);
            instructions += 1;
            if function
                .code
                .iter()
                .any(|(at, code, _)| *at == address && (code == "call" || code == "bl"))
            {
                assert_called(&loaded, machine, state, function, (address, leaf));
                calls += 1;
            }
        }
    }
    println!("{}: {instructions} instructions, {calls} calls", image.display());
    assert!(instructions > 150 && calls > 20, "{instructions} {calls}");
}

/// The caller of frame `index - 1` has the registers that it had at the call.
fn assert_caller(
    frames: &[StackFrame],
    index: usize,
    machine: &Machine,
    state: &State,
    function: &Function,
    address: u64,
) {
    let place = || format!("{} {address:#x}\n{state:#x?}", function.name);
    let frame = frames.get(index).unwrap_or_else(|| panic!("no caller: {}", place()));
    assert_eq!(frame.trust, FrameTrust::CallFrameInfo, "{}", place());
    assert_eq!(frame.resume_address, RETURN_ADDRESS, "{}", place());
    let pushed = if machine.pushes_return_address { 8 } else { 0 };
    assert_eq!(frame.context.get_stack_pointer(), STACK + pushed, "{}", place());
    let entry = (machine.entry)();
    for (ours, theirs) in machine.preserved {
        let value = frame.context.get_register(theirs);
        assert_eq!(value, Some(entry.get(ours)), "{ours}: {}", place());
    }
}

/// The same, when what is called is interrupted at its first instruction.
fn assert_called(
    loaded: &Loaded,
    machine: &Machine,
    mut state: State,
    function: &Function,
    (address, leaf): (u64, u64),
) {
    let after = function.code.iter().map(|(at, ..)| *at).find(|at| *at > address);
    let Some(after) = after else { return };
    let return_address = BASE + after - loaded.image_base;
    if machine.pushes_return_address {
        state.push(machine.stack_pointer, return_address);
    } else {
        state.registers.insert("x30", return_address);
    }
    let frames = loaded.frames(machine, &state, leaf);
    assert_eq!(frames[1].instruction, return_address - machine.call_bytes, "{}", function.name);
    assert_caller(&frames, 2, machine, &state, function, address);
}
