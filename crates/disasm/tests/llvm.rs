//! Every instruction of a listing, against llvm-objdump: bounds, names, targets of branches.
//!
//! Needs Debian's `llvm-19`, or the same without the version; skipped without it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

use std::path::Path;

use lastwords_disasm::{Machine, disassemble, effects};
use lastwords_synth::{llvm_tool, run_tool};

/// What loads, stores, and leaves the straight way.
const ARM: &str = "
    .syntax unified
    .cpu cortex-a15
    .fpu neon
start:
    ldr r0, [r1, #4]
    ldr r0, [r1, #-4]!
    ldr r0, [r1], #4
    ldr r0, [r1, r2]
    ldrb r0, [r1]
    ldrsh r0, [r1, #2]
    ldrd r0, r1, [r2, #8]
    strd r0, r1, [r2]
    str r0, [sp, #4]
    ldmdb r0!, {r1, r2}
    stm r0!, {r1, r2}
    push {r4, r5, lr}
    pop {r4, r5, pc}
    ldrex r0, [r1]
    strex r0, r1, [r2]
    vldr d0, [r0, #8]
    vldmia r0, {d0-d3}
    vld1.8 {d0}, [r0]
    vadd.f32 s0, s1, s2
    ldr r0, [pc, #16]
    ldr pc, [r3]
    b start
    beq start
    bl end
    blx r3
    bx lr
    udiv r0, r1, r2
    svc #0
    bkpt #1
    udf #1
end:
    mov pc, lr
";
const THUMB_ONLY: &str = "
    cbz r0, after
    cbnz r1, after
    it eq
    moveq r0, r1
    tbb [r0, r1]
    b.w start
    beq.w start
    ldr.w r0, [pc, #-16]
    udf.w #1
after:
    nop
";
const MIPS: &str = "
    .set noreorder
start:
    lw $a0, 8($a1)
    sw $a0, -4($sp)
    lb $v0, 0($t9)
    lhu $v0, 2($a0)
    ldc1 $f0, 8($a0)
    beq $a0, $a1, start
    bnez $a0, end
    jal start
    jr $ra
    jalr $t9
    teq $a0, $zero
    break
    addiu $sp, $sp, -32
end:
    nop
";

/// One line of llvm-objdump.
#[derive(Debug)]
struct Line {
    address: u64,
    len: usize,
    mnemonic: String,
    /// The number before a symbol in angle brackets, of a branch.
    target: Option<u64>,
}

fn line(text: &str) -> Option<Line> {
    let (address, rest) = text.trim().split_once(':')?;
    let address = u64::from_str_radix(address, 16).ok()?;
    let (bytes, text) = rest.trim().split_once('\t')?;
    let digits = bytes.chars().filter(char::is_ascii_hexdigit).count();
    let (mnemonic, operands) = text.split_once(['\t', ' ']).unwrap_or((text, ""));
    let symbol = operands.find('<').filter(|_| !operands.contains('['));
    let target = symbol.and_then(|at| {
        let word = operands[..at].trim().rsplit(' ').next()?;
        u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
    });
    Some(Line { address, len: digits / 2, mnemonic: mnemonic.to_owned(), target })
}

/// Assembles a listing; its code, and how llvm-objdump reads it.
fn assembled(triple: &str, text: &str) -> Option<(Vec<u8>, Vec<Line>)> {
    let folder = tempfile::tempdir().unwrap();
    let folder: &Path = folder.path();
    std::fs::write(folder.join("a.s"), text).unwrap();
    let triple = format!("-triple={triple}");
    let assemble = [triple.as_str(), "-filetype=obj", "a.s", "-o", "a.o"];
    run_tool(llvm_tool("llvm-mc")?, folder, &assemble);
    let copy = ["-O", "binary", "-j", ".text", "a.o", "a.bin"];
    run_tool(llvm_tool("llvm-objcopy")?, folder, &copy);
    let listing = run_tool(llvm_tool("llvm-objdump")?, folder, &["-d", "--mcpu=cortex-a15", "a.o"]);
    let lines = listing.lines().filter_map(line).collect();
    Some((std::fs::read(folder.join("a.bin")).unwrap(), lines))
}

/// `ldr` of `ldr.w`.
fn name(mnemonic: &str) -> &str {
    mnemonic.strip_suffix(".w").unwrap_or(mnemonic)
}

fn compare(machine: Machine, triple: &str, text: &str) {
    let Some((code, lines)) = assembled(triple, text) else { return };
    let ours = disassemble(machine, 0, &code, code.len());
    assert_eq!(ours.len(), lines.len(), "{lines:#?}");
    for (one, line) in ours.iter().zip(&lines) {
        assert_eq!((one.address, one.len), (line.address, line.len), "{line:?}");
        assert_eq!(name(&one.mnemonic), name(&line.mnemonic), "{line:?}");
        if line.target.is_some() {
            assert_eq!(one.target, line.target, "{line:?}");
        }
        let here = usize::try_from(one.address).unwrap();
        assert_eq!(effects(machine, one.address, &code[here..]).unwrap().len, one.len, "{line:?}");
    }
    assert!(lines.iter().filter(|line| line.target.is_some()).count() >= 3, "{lines:#?}");
}

#[test]
fn arm_is_read_as_llvm_reads_it() {
    compare(Machine::Arm, "armv7a-linux-gnueabihf", ARM);
}

#[test]
fn thumb_is_read_as_llvm_reads_it() {
    let text = format!("{ARM}{THUMB_ONLY}");
    compare(Machine::Thumb, "thumbv7a-linux-gnueabihf", &text);
}

#[test]
fn mips_of_both_endians_is_read_as_llvm_reads_it() {
    compare(Machine::Mips { is_big_endian: false }, "mipsel-linux-gnu", MIPS);
    compare(Machine::Mips { is_big_endian: true }, "mips-linux-gnu", MIPS);
}
