//! Bytes that are no code: every reader ends, and covers them without a gap.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test may fail")]

use lastwords_disasm::{Machine, disassemble, effects};
use proptest::prelude::*;

const MACHINES: [Machine; 7] = [
    Machine::X86,
    Machine::X86_64,
    Machine::Arm,
    Machine::Thumb,
    Machine::Arm64,
    Machine::Mips { is_big_endian: false },
    Machine::Mips { is_big_endian: true },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn all_bytes_are_read_in_order(
        code in prop::collection::vec(any::<u8>(), 0..200),
        address in any::<u64>(),
        machine in prop::sample::select(MACHINES.to_vec()),
    ) {
        let found = disassemble(machine, address, &code, code.len() + 1);
        let mut read = 0;
        for one in &found {
            prop_assert_eq!(one.address, address.wrapping_add(read as u64));
            prop_assert!(one.len > 0);
            let known = effects(machine, one.address, code.get(read..).unwrap());
            prop_assert!(known.is_none_or(|known| known.len == one.len || one.mnemonic == "???"));
            read += one.len;
        }
        // Less than the longest instruction is left.
        prop_assert!(code.len() - read < 16, "{} of {} bytes", read, code.len());
    }
}
