//! Bytes become instructions, whatever they are: the first byte chooses the processor.
#![no_main]

use lastwords_disasm::{Machine, disassemble, effects};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [choice, code @ ..] = data else { return };
    let machine = match choice % 7 {
        0 => Machine::X86,
        1 => Machine::X86_64,
        2 => Machine::Arm,
        3 => Machine::Thumb,
        4 => Machine::Arm64,
        other => Machine::Mips { is_big_endian: other == 5 },
    };
    for one in disassemble(machine, 0x1000, code, code.len()) {
        let at = usize::try_from(one.address - 0x1000).expect("an offset");
        let _ = effects(machine, one.address, &code[at..]);
    }
});
