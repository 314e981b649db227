//! What instructions of ARM, Thumb and MIPS do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

use lastwords_disasm::{Direction, Effects, Flow, Kind, Machine, disassemble, effects};

const MIPS: Machine = Machine::Mips { is_big_endian: true };

fn arm(word: u32) -> Effects {
    effects(Machine::Arm, 0x1000, &word.to_le_bytes()).unwrap()
}

fn thumb(halves: &[u16]) -> Effects {
    let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    effects(Machine::Thumb, 0x1000, &bytes).unwrap()
}

fn mips(word: u32) -> Effects {
    effects(MIPS, 0x1000, &word.to_be_bytes()).unwrap()
}

#[track_caller]
fn check(
    effects: &Effects,
    registers: &[(&str, u64)],
    address: u64,
    size_bytes: u32,
    direction: Direction,
) {
    let value = |name: &str| registers.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
    let access = effects.accesses.first().unwrap();
    assert_eq!(access.place.address(value), Some(address), "{}", effects.text);
    assert_eq!((access.size_bytes, access.direction), (size_bytes, direction), "{}", effects.text);
}

#[test]
fn arm_accesses_have_address_size_and_direction() {
    use Direction::{Read, Write};
    let known = [("r1", 0x2000), ("r2", 0x10)];
    check(&arm(0xe591_0004), &known, 0x2004, 4, Read); // ldr r0, [r1, #4]
    check(&arm(0xe491_0004), &known, 0x2000, 4, Read); // ldr r0, [r1], #4
    check(&arm(0xe711_0002), &known, 0x1ff0, 4, Read); // ldr r0, [r1, -r2]
    check(&arm(0xe791_0102), &known, 0x2040, 4, Read); // ldr r0, [r1, r2, lsl #2]
    check(&arm(0xe5c1_0001), &known, 0x2001, 1, Write); // strb r0, [r1, #1]
    check(&arm(0xe59f_0010), &[], 0x1018, 4, Read); // ldr r0, [pc, #16]
    let shifted = arm(0xe791_0142); // ldr r0, [r1, r2, asr #2]
    assert!(shifted.accesses.is_empty() && shifted.has_unknown_accesses);
}

#[test]
fn lists_of_registers_begin_at_their_lowest_address() {
    use Direction::{Read, Write};
    let base = [("r0", 0x2000), ("sp", 0x3000)];
    check(&arm(0xe890_0006), &base, 0x2000, 8, Read); // ldm r0, {r1, r2}
    check(&arm(0xe930_0006), &base, 0x1ff8, 8, Read); // ldmdb r0!, {r1, r2}
    check(&arm(0xe990_0006), &base, 0x2004, 8, Read); // ldmib r0, {r1, r2}
    check(&arm(0xe810_0006), &base, 0x1ffc, 8, Read); // ldmda r0, {r1, r2}
    check(&arm(0xec90_0b08), &base, 0x2000, 32, Read); // vldmia r0, {d0-d3}
    check(&arm(0xe92d_4030), &base, 0x2ff4, 12, Write); // push {r4, r5, lr}
    check(&thumb(&[0xb510]), &base, 0x2ff8, 8, Write); // push {r4, lr}
    assert_eq!(arm(0xe92d_4030).alignment, 4);
    assert_eq!(arm(0xe591_0004).alignment, 1);
}

#[test]
fn arm_and_thumb_code_goes_on_where_it_says() {
    assert_eq!(arm(0xe12f_ff33).flow, Flow::Register("r3".into())); // blx r3
    assert!(arm(0xe12f_ff33).is_call);
    assert_eq!(arm(0xe1a0_f00e).flow, Flow::Register("lr".into())); // mov pc, lr
    assert_eq!(arm(0xeaff_fffe).flow, Flow::To(0x1000)); // b .
    assert_eq!(arm(0x0aff_fffe).flow, Flow::Conditional); // beq .
    assert_eq!(arm(0x012f_ff1e).flow, Flow::Conditional); // bxeq lr
    assert_eq!(arm(0xe591_0004).flow, Flow::Next); // ldr r0, [r1, #4]
    let Flow::Memory(place) = arm(0xe8bd_8010).flow else { panic!("pop {{r4, pc}}") };
    assert_eq!(place.address(|_| Some(0x2000)), Some(0x2004));
    assert_eq!(thumb(&[0xe7fe]).flow, Flow::To(0x1000)); // b .
    assert_eq!(thumb(&[0xf7ff, 0xfffe]).flow, Flow::To(0x1000)); // bl .
    assert_eq!(thumb(&[0xb108]).flow, Flow::Conditional); // cbz r0, .+6
    assert_eq!(thumb(&[0x4770]).flow, Flow::Register("lr".into())); // bx lr
}

#[test]
fn arm_kinds_explain_exceptions() {
    assert_eq!(arm(0xe7f0_00f1).kind, Kind::Undefined); // udf #1
    assert_eq!(arm(0xe120_0071).kind, Kind::Breakpoint); // bkpt #1
    assert_eq!(arm(0xe160_0070).kind, Kind::Privileged); // smc #0
    assert_eq!(thumb(&[0xde01]).kind, Kind::Undefined); // udf #1
}

#[test]
fn mips_accesses_and_jumps_are_told() {
    let load = mips(0x8ca4_0008); // lw a0, 8(a1)
    check(&load, &[("a1", 0x2000)], 0x2008, 4, Direction::Read);
    assert_eq!(load.alignment, 4);
    let store = mips(0xafa4_fffc); // sw a0, -4(sp)
    check(&store, &[("sp", 0x2000)], 0x1ffc, 4, Direction::Write);
    assert_eq!(mips(0x03e0_0008).flow, Flow::Register("ra".into())); // jr ra
    assert_eq!(mips(0x0320_f809).flow, Flow::Register("t9".into())); // jalr t9
    assert_eq!(mips(0x1085_ffff).flow, Flow::Conditional); // beq a0, a1, .
    assert_eq!(mips(0x0000_000d).kind, Kind::Breakpoint); // break
}

#[test]
fn what_is_no_instruction_or_cut_off_is_told() {
    let unknown = disassemble(Machine::Arm, 0, &[0xff; 9], 8);
    assert_eq!(unknown.len(), 2);
    assert_eq!((unknown[0].mnemonic.as_str(), unknown[0].len), ("???", 4));
    assert!(disassemble(Machine::Thumb, 0, &[0x51, 0xf8], 8).is_empty());
    assert!(disassemble(Machine::Thumb, 0, &[0x51], 8).is_empty());
    assert!(disassemble(MIPS, 0, &[0; 3], 8).is_empty());
    assert_eq!(effects(Machine::Thumb, 0, &[0x51, 0xf8]), None);
}
