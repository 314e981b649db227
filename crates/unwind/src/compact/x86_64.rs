//! Compact encodings of x86-64.
//!
//! | mode | bits | meaning |
//! |---|---|---|
//! | 1 `rbp` | 16 to 23 | where registers are saved, in 8 bytes below `rbp` |
//! | | 0 to 14 | five registers of 3 bits, from there up |
//! | 2 immediate | 16 to 23 | bytes of the frame, in 8 |
//! | 3 indirect | 16 to 23, 13 to 15 | offset in the function of a `sub rsp` instruction's operand; what is added to that, in 8 |
//! | 2, 3 | 10 to 12, 0 to 9 | registers that were pushed: how many, and which in what order |
//! | 4 | 0 to 23 | see `__eh_frame` |
//!
//! Registers: 1 `rbx`, 2 `r12`, 3 `r13`, 4 `r14`, 5 `r15`, 6 `rbp`. What is interrupted in a prologue or
//! an epilogue is told by its instructions.

use lastwords_symbols::Image;
use minidump_unwind::FrameWalker;

use super::{Function, is_entry};
use crate::bytes::u32_at;
use crate::caller::Caller;
use crate::code::{Step, epilogue, prologue};

const RBP_FRAME: u32 = 1;
const IMMEDIATE: u32 = 2;
const INDIRECT: u32 = 3;
const DWARF: u32 = 4;
const WORD: u64 = 8;
/// The longest prologue or epilogue, with reserve.
const CODE_BYTES: usize = 96;
const SAVED: [&str; 7] = ["", "rbx", "r12", "r13", "r14", "r15", "rbp"];
/// By number in instructions.
const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

pub(super) fn caller(
    image: &Image,
    function: &Function,
    rva: u32,
    walker: &(dyn FrameWalker + Send),
) -> Option<Caller> {
    let frame = Frame { image, function, walker };
    let is_known = matches!(function.mode(), RBP_FRAME | IMMEDIATE | INDIRECT | DWARF);
    if !walker.has_grand_callee() && is_known {
        let interrupted = frame.in_prologue(rva).or_else(|| frame.in_epilogue(rva));
        if interrupted.is_some() {
            return interrupted;
        }
    }
    match function.mode() {
        RBP_FRAME => frame.by_base_pointer(),
        IMMEDIATE => frame.by_size(u64::from(function.bits(16, 0xff)).checked_mul(WORD)?),
        INDIRECT => frame.by_size(frame.indirect_size()?),
        _ => None,
    }
}

struct Frame<'a> {
    image: &'a Image,
    function: &'a Function,
    walker: &'a (dyn FrameWalker + Send),
}

type Registers = Vec<(&'static str, Option<u64>)>;

impl Frame<'_> {
    fn read(&self, address: u64) -> Option<u64> {
        self.walker.get_register_at_address(address)
    }

    fn rsp(&self) -> Option<u64> {
        self.walker.get_callee_register("rsp")
    }

    fn code(&self, rva: u32) -> &[u8] {
        match self.image.image_base().checked_add(u64::from(rva)) {
            Some(address) => self.image.bytes_at(address, CODE_BYTES),
            None => &[],
        }
    }

    /// Takes the return address from below `cfa`.
    fn finish(&self, cfa: u64, registers: Registers) -> Option<Caller> {
        let return_address = self.read(cfa.checked_sub(WORD)?)?;
        Some(Caller::Frame { cfa, return_address, registers })
    }

    fn by_base_pointer(&self) -> Option<Caller> {
        let rbp = self.walker.get_callee_register("rbp")?;
        let below = u64::from(self.function.bits(16, 0xff)).checked_mul(WORD)?;
        let mut address = rbp.checked_sub(below)?;
        let mut registers = vec![("rbp", Some(self.read(rbp)?))];
        for index in 0..5u32 {
            let number = self.function.bits(index.checked_mul(3)?, 7);
            if number != 0 {
                let name = SAVED.get(usize::try_from(number).ok()?)?;
                registers.push((name, Some(self.read(address)?)));
            }
            address = address.checked_add(WORD)?;
        }
        self.finish(rbp.checked_add(2 * WORD)?, registers)
    }

    fn by_size(&self, size: u64) -> Option<Caller> {
        let cfa = self.rsp()?.checked_add(size)?;
        let count = self.function.bits(10, 7);
        let saved = permutation(count, self.function.bits(0, 0x3ff))?;
        let bytes = u64::from(count).checked_add(1)?.checked_mul(WORD)?;
        let mut address = cfa.checked_sub(bytes)?;
        let mut registers = Vec::new();
        for number in saved {
            registers.push((*SAVED.get(number)?, Some(self.read(address)?)));
            address = address.checked_add(WORD)?;
        }
        self.finish(cfa, registers)
    }

    /// The operand of the `sub` instruction, and what is pushed beside.
    fn indirect_size(&self) -> Option<u64> {
        let offset = self.function.bits(16, 0xff);
        let operand = u32_at(self.code(self.function.range.start.checked_add(offset)?), 0)?;
        let more = u64::from(self.function.bits(13, 7)).checked_mul(WORD)?;
        u64::from(operand).checked_add(more)
    }

    fn in_prologue(&self, rva: u32) -> Option<Caller> {
        let offset = usize::try_from(rva.checked_sub(self.function.range.start)?).ok()?;
        let done = prologue(self.code(self.function.range.start), offset)?;
        let mut address = self.rsp()?.checked_add(done.allocated)?;
        let mut registers = Vec::new();
        for number in done.pushed.iter().rev() {
            let name = NAMES.get(usize::from(*number))?;
            registers.push((*name, Some(self.read(address)?)));
            address = address.checked_add(WORD)?;
        }
        self.finish(address.checked_add(WORD)?, registers)
    }

    fn in_epilogue(&self, rva: u32) -> Option<Caller> {
        let is_entry = |target| is_entry(self.image, target);
        let steps = epilogue(self.code(rva), u64::from(rva), is_entry)?;
        let mut rsp = self.rsp()?;
        let mut registers: Registers = Vec::new();
        for step in steps {
            match step {
                Step::Add(bytes) => rsp = rsp.checked_add_signed(bytes)?,
                Step::Lea(base, offset) => {
                    let base = self.walker.get_callee_register(NAMES.get(usize::from(base))?)?;
                    rsp = base.checked_add_signed(offset)?;
                }
                Step::Pop(number) => {
                    registers.push((NAMES.get(usize::from(number))?, Some(self.read(rsp)?)));
                    rsp = rsp.checked_add(WORD)?;
                }
            }
        }
        self.finish(rsp.checked_add(WORD)?, registers)
    }
}

/// Which registers were pushed, the last one first: `count` of the six, numbered among those that are
/// left, as digits of mixed bases.
fn permutation(count: u32, mut code: u32) -> Option<Vec<usize>> {
    let bases: &[u32] = match count {
        0 => &[],
        1 => &[1],
        2 => &[5, 1],
        3 => &[20, 4, 1],
        4 => &[60, 12, 3, 1],
        5 => &[120, 24, 6, 2, 1],
        6 => &[120, 24, 6, 2, 1, 0],
        _ => return None,
    };
    let mut left: Vec<usize> = (1..=6).collect();
    let mut found = Vec::new();
    for base in bases {
        let digit = code.checked_div(*base).unwrap_or(0);
        code = code.checked_sub(digit.checked_mul(*base)?)?;
        let digit = usize::try_from(digit).ok().filter(|digit| *digit < left.len())?;
        found.push(left.remove(digit));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::permutation;

    #[test]
    fn permutations_are_digits_among_the_registers_left() {
        assert_eq!(permutation(0, 0).unwrap(), []);
        assert_eq!(permutation(1, 5).unwrap(), [6]);
        assert_eq!(permutation(2, 5).unwrap(), [2, 1]);
        assert_eq!(permutation(6, 0).unwrap(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(permutation(1, 6), None);
        assert_eq!(permutation(7, 0), None);
    }
}
