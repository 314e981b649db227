//! Real unwind tables, and what is left of them after damage.

#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::throws::images;

/// The tables of the module that holds this test: `.eh_frame_hdr`, `.eh_frame`, their addresses.
fn tables() -> (Vec<u8>, Vec<u8>, BaseAddresses, u64) {
    images::prepare();
    let here = tables as *const () as usize;
    images::with_image_of(here, |image| {
        // SAFETY: the test's own module.
        let header = unsafe { image.segments.bytes(image.header) }.to_vec();
        let bases = BaseAddresses::default().set_eh_frame_hdr(image.header as u64);
        let parsed = EhFrameHdr::new(&header, NativeEndian).parse(&bases, POINTER_SIZE).unwrap();
        let gimli::Pointer::Direct(frames_address) = parsed.eh_frame_ptr() else { panic!() };
        // SAFETY: as above.
        let frames = unsafe { image.segments.bytes(frames_address as usize) }.to_vec();
        (header, frames, bases.set_eh_frame(frames_address), here as u64)
    })
    .unwrap()
}

fn rule(header: &[u8], frames: &[u8], bases: &BaseAddresses, address: u64) -> Option<Rule> {
    let header = EhFrameHdr::new(header, NativeEndian).parse(bases, POINTER_SIZE).ok()?;
    rule_in(&header, &EhFrame::new(frames, NativeEndian), bases, address)
}

#[test]
fn a_function_has_a_rule_and_nothing_has_none() {
    let (header, frames, bases, here) = tables();
    assert!(rule(&header, &frames, &bases, here).unwrap().is_frame());
    assert_eq!(rule_at(here as usize + 1), rule(&header, &frames, &bases, here).unwrap());
    assert_eq!(rule_at(0), Rule::UNKNOWN);
    assert_eq!(rule_at(usize::MAX), Rule::UNKNOWN);
}

#[test]
fn damaged_tables_give_a_rule_or_none_but_no_panic() {
    let (header, frames, bases, here) = tables();
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for round in 0..3_000 {
        let (mut header, mut frames) = (header.clone(), frames.clone());
        for _ in 0..=next(40) {
            let at = if round % 2 == 0 { next(16.min(header.len())) } else { next(header.len()) };
            header[at] = next(256) as u8;
        }
        header.truncate(header.len() - next(2) * next(header.len()));
        for _ in 0..next(20_000) {
            let at = next(frames.len());
            frames[at] = next(256) as u8;
        }
        for address in [here, here + next(4096) as u64, next(usize::MAX) as u64] {
            rule(&header, &frames, &bases, address);
        }
    }
}

/// Where the entry of an address stands in `.eh_frame`, and its common entry.
fn places_of(header: &[u8], frames: &[u8], bases: &BaseAddresses, address: u64) -> [usize; 2] {
    let header = EhFrameHdr::new(header, NativeEndian).parse(bases, POINTER_SIZE).unwrap();
    let gimli::Pointer::Direct(fde) = header.table().unwrap().lookup(address, bases).unwrap()
    else {
        panic!()
    };
    let fde = (fde - bases.eh_frame.section.unwrap()) as usize;
    let back: [u8; 4] = frames[fde + 4..fde + 8].try_into().unwrap();
    [fde, fde + 4 - u32::from_ne_bytes(back) as usize]
}

#[test]
fn damage_to_the_very_entry_gives_a_rule_or_none_but_no_panic() {
    let (header, mut frames, bases, here) = tables();
    let places = places_of(&header, &frames, &bases, here);
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let (mut rules, mut refusals) = (0, 0);
    for _ in 0..200_000 {
        let mut undo = Vec::new();
        for _ in 0..=next(8) {
            // Head, augmentation and the first instructions of either.
            let at = (places[next(2)] + next(48)).min(frames.len() - 1);
            undo.push((at, frames[at]));
            let odd = [0, 1, 0x0c, 0x0f, 0x10, 0x16, 0x2e, 0x7f, 0x80, 0x9b, 0xff];
            frames[at] = if next(2) == 0 { next(256) as u8 } else { odd[next(odd.len())] };
        }
        match rule(&header, &frames, &bases, here) {
            Some(_) => rules += 1,
            None => refusals += 1,
        }
        undo.into_iter().rev().for_each(|(at, byte)| frames[at] = byte);
    }
    assert!(rules > 1_000 && refusals > 1_000, "{rules} rules, {refusals} refusals");
}

#[test]
fn the_two_expressions_of_a_realigned_stack_are_known() {
    assert_eq!(breg6(&[DW_OP_BREG6, 0x78, DW_OP_DEREF]), Some((-8, [DW_OP_DEREF].as_slice())));
    assert_eq!(breg6(&[DW_OP_BREG6, 0x00]), Some((0, [].as_slice())));
    assert_eq!(breg6(&[DW_OP_BREG6, 0x80, 0x01]), None, "an offset of two bytes");
    assert_eq!(breg6(&[0x77, 0x08]), None, "another register");
    assert_eq!(breg6(&[]), None);
}
