//! Compact encodings of AArch64.
//!
//! | mode | bits | meaning |
//! |---|---|---|
//! | 2 frameless | 12 to 23 | bytes of the frame, in 16; the return address is still in `lr` |
//! | 3 | 0 to 23 | see `__eh_frame` |
//! | 4 frame | | `fp` points at the caller's `fp` and the return address |
//! | 2, 4 | 0 to 4, 8 to 11 | pairs that are saved, from the top down: x19 and x20 to x27 and x28; d8 and d9 to d14 and d15 |
//!
//! What is interrupted in a prologue or an epilogue is told by its instructions, for mode 3 too: compilers
//! for Apple's systems describe frames that are complete.

use lastwords_symbols::Image;
use minidump_unwind::FrameWalker;

use super::{Function, is_entry};
use crate::bytes::u32_at;
use crate::caller::Caller;

const FRAMELESS: u32 = 2;
const DWARF: u32 = 3;
const FRAME: u32 = 4;
const WORD: u64 = 8;
/// Instructions of a prologue or an epilogue; a frame takes up to twelve.
const MAX_INSTRUCTIONS: usize = 16;
const PAIRS: [(&str, &str); 5] =
    [("x19", "x20"), ("x21", "x22"), ("x23", "x24"), ("x25", "x26"), ("x27", "x28")];
const NAMES: [&str; 31] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "fp", "lr",
];

pub(super) fn caller(
    image: &Image,
    function: &Function,
    rva: u32,
    walker: &(dyn FrameWalker + Send),
) -> Option<Caller> {
    if !matches!(function.mode(), FRAMELESS | FRAME | DWARF) {
        return None;
    }
    let frame = Frame { image, function, walker };
    if !walker.has_grand_callee() {
        let interrupted = frame.in_prologue(rva).or_else(|| frame.in_epilogue(rva));
        if interrupted.is_some() {
            return interrupted;
        }
    }
    match function.mode() {
        FRAME => frame.by_frame_pointer(),
        FRAMELESS => frame.by_size(),
        _ => None,
    }
}

struct Frame<'a> {
    image: &'a Image,
    function: &'a Function,
    walker: &'a (dyn FrameWalker + Send),
}

type Registers = Vec<(&'static str, Option<u64>)>;

/// What an instruction of a prologue or an epilogue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The stack pointer moves before anything is read or written.
    Move(i64),
    /// Registers are saved or restored at an offset; then the stack pointer moves.
    Pair {
        first: u8,
        second: Option<u8>,
        offset: i64,
        after: i64,
    },
    SetFrame,
    /// Vector registers, signing of `lr`.
    Nothing,
}

impl Frame<'_> {
    fn read(&self, address: u64) -> Option<u64> {
        self.walker.get_register_at_address(address)
    }

    fn pairs(&self, mut top: u64) -> Option<Registers> {
        let mut registers = Vec::new();
        for (index, (first, second)) in (0u32..).zip(PAIRS) {
            if self.function.bits(index, 1) == 0 {
                continue;
            }
            for name in [first, second] {
                registers.push((name, Some(self.read(top)?)));
                top = top.checked_sub(WORD)?;
            }
        }
        Some(registers)
    }

    fn by_frame_pointer(&self) -> Option<Caller> {
        let fp = self.walker.get_callee_register("fp")?;
        let mut registers = self.pairs(fp.checked_sub(WORD)?)?;
        registers.push(("fp", Some(self.read(fp)?)));
        let return_address = self.read(fp.checked_add(WORD)?)?;
        Some(Caller::Frame { cfa: fp.checked_add(2 * WORD)?, return_address, registers })
    }

    fn by_size(&self) -> Option<Caller> {
        let size = u64::from(self.function.bits(12, 0xfff)).checked_mul(16)?;
        let cfa = self.walker.get_callee_register("sp")?.checked_add(size)?;
        let registers = if size > 0 { self.pairs(cfa.checked_sub(WORD)?)? } else { Vec::new() };
        let return_address = self.walker.get_callee_register("lr")?;
        Some(Caller::Frame { cfa, return_address, registers })
    }

    fn instruction(&self, rva: u32) -> Option<u32> {
        let address = self.image.image_base().checked_add(u64::from(rva))?;
        u32_at(self.image.bytes_at(address, 4), 0)
    }

    /// Undoes the instructions from the function's start up to the interrupted one; `None` when that
    /// is not one of the prologue.
    fn in_prologue(&self, rva: u32) -> Option<Caller> {
        let mut done = Vec::new();
        let mut at = self.function.range.start;
        for _ in 0..MAX_INSTRUCTIONS {
            let effect = prologue_effect(self.instruction(at)?);
            if at >= rva {
                // Behind the prologue the encoding holds, but for functions without any frame.
                return if effect.is_some() { self.undo(&done) } else { None };
            }
            done.push(effect?);
            at = at.checked_add(4)?;
        }
        None
    }

    fn undo(&self, done: &[Effect]) -> Option<Caller> {
        let mut sp = self.walker.get_callee_register("sp")?;
        let mut registers: Registers = Vec::new();
        for effect in done.iter().rev() {
            match *effect {
                Effect::Move(bytes) => sp = sp.checked_add_signed(bytes.checked_neg()?)?,
                Effect::Pair { first, second, offset, after } => {
                    // `after` of a push is where the stack pointer fell to.
                    self.restore(&mut registers, first, sp.checked_add_signed(offset)?)?;
                    if let Some(second) = second {
                        let address = sp.checked_add_signed(offset)?.checked_add(WORD)?;
                        self.restore(&mut registers, second, address)?;
                    }
                    sp = sp.checked_add_signed(after.checked_neg()?)?;
                }
                Effect::SetFrame | Effect::Nothing => {}
            }
        }
        self.finish(sp, registers)
    }

    /// Does the rest of an epilogue; `None` when no return follows.
    fn in_epilogue(&self, rva: u32) -> Option<Caller> {
        let mut sp = self.walker.get_callee_register("sp")?;
        let mut registers: Registers = Vec::new();
        let mut at = rva;
        for _ in 0..MAX_INSTRUCTIONS {
            let instruction = self.instruction(at)?;
            if is_return(instruction, at, |target| is_entry(self.image, target)) {
                return self.finish(sp, registers);
            }
            match epilogue_effect(instruction)? {
                Effect::Move(bytes) => sp = sp.checked_add_signed(bytes)?,
                Effect::Pair { first, second, offset, after } => {
                    let address = sp.checked_add_signed(offset)?;
                    self.restore(&mut registers, first, address)?;
                    if let Some(second) = second {
                        self.restore(&mut registers, second, address.checked_add(WORD)?)?;
                    }
                    sp = sp.checked_add_signed(after)?;
                }
                Effect::SetFrame | Effect::Nothing => {}
            }
            at = at.checked_add(4)?;
        }
        None
    }

    fn restore(&self, registers: &mut Registers, number: u8, address: u64) -> Option<()> {
        let name = NAMES.get(usize::from(number))?;
        let value = self.read(address)?;
        registers.retain(|(other, _)| other != name);
        registers.push((name, Some(value)));
        Some(())
    }

    fn finish(&self, cfa: u64, registers: Registers) -> Option<Caller> {
        let restored = registers.iter().find(|(name, _)| *name == "lr").and_then(|(_, lr)| *lr);
        let return_address = restored.or_else(|| self.walker.get_callee_register("lr"))?;
        Some(Caller::Frame { cfa, return_address, registers })
    }
}

/// `stp`, `str`, `sub sp`, `mov fp, sp` and the like.
fn prologue_effect(instruction: u32) -> Option<Effect> {
    match memory(instruction, false) {
        Some(effect) => Some(effect),
        None => match stack_move(instruction) {
            Some(bytes) if bytes < 0 => Some(Effect::Move(bytes)),
            // add x29, sp, #imm
            None if instruction & 0xff80_03ff == 0x9100_03fd => Some(Effect::SetFrame),
            None if is_signing(instruction) => Some(Effect::Nothing),
            _ => None,
        },
    }
}

/// `ldp`, `ldr`, `add sp` and the like.
fn epilogue_effect(instruction: u32) -> Option<Effect> {
    match memory(instruction, true) {
        Some(effect) => Some(effect),
        None => match stack_move(instruction) {
            Some(bytes) if bytes > 0 => Some(Effect::Move(bytes)),
            None if is_signing(instruction) => Some(Effect::Nothing),
            _ => None,
        },
    }
}

/// `paciasp`, `pacibsp`, `autiasp`, `autibsp`.
fn is_signing(instruction: u32) -> bool {
    matches!(instruction, 0xd503_233f | 0xd503_237f | 0xd503_23bf | 0xd503_23ff)
}

/// `add sp, sp, #imm` and `sub sp, sp, #imm`.
fn stack_move(instruction: u32) -> Option<i64> {
    let immediate = i64::from(instruction >> 10 & 0xfff);
    let bytes = if instruction >> 22 & 1 == 1 { immediate.checked_mul(4096)? } else { immediate };
    match instruction & 0xff80_03ff {
        0x9100_03ff => Some(bytes),
        0xd100_03ff => 0i64.checked_sub(bytes),
        _ => None,
    }
}

/// Loads and stores of pairs and single registers relative to `sp`.
fn memory(instruction: u32, is_load: bool) -> Option<Effect> {
    if instruction >> 5 & 0x1f != 31 {
        return None;
    }
    let load = u32::from(is_load);
    let (first, second) = ((instruction & 0x1f) as u8, (instruction >> 10 & 0x1f) as u8);
    let pair_offset = sign_extended(instruction >> 15 & 0x7f, 7)?.checked_mul(8)?;
    let single_offset = sign_extended(instruction >> 12 & 0x1ff, 9)?;
    let (is_pair, mode) = (instruction >> 27 & 7 == 0b101, instruction >> 23 & 7);
    if is_pair && instruction >> 22 & 1 == load {
        let (offset, after) = moves(mode, pair_offset)?;
        let (is_vector, width) = (instruction >> 26 & 1 == 1, instruction >> 30);
        return match (is_vector, width) {
            (false, 2) => Some(Effect::Pair { first, second: Some(second), offset, after }),
            (true, 1) => Some(Effect::Move(after)),
            _ => None,
        };
    }
    let (offset, after) = match instruction & 0xffe0_0c00 {
        // str/ldr x, [sp, #imm]! and [sp], #imm
        code if code == 0xf800_0c00 | load << 22 => (0, single_offset),
        code if code == 0xf800_0400 | load << 22 => (0, single_offset),
        _ if instruction & 0xffc0_0000 == 0xf900_0000 | load << 22 => {
            (i64::from(instruction >> 10 & 0xfff).checked_mul(8)?, 0)
        }
        _ => return None,
    };
    Some(Effect::Pair { first, second: None, offset, after })
}

/// Offset, and how the stack pointer moves: behind (1), signed offset (2), before (3).
fn moves(mode: u32, offset: i64) -> Option<(i64, i64)> {
    match mode {
        1 | 3 => Some((0, offset)),
        2 => Some((offset, 0)),
        _ => None,
    }
}

fn sign_extended(value: u32, bits: u32) -> Option<i64> {
    let shift = 32u32.checked_sub(bits)?;
    Some(i64::from(value.checked_shl(shift)?.cast_signed().checked_shr(shift)?))
}

/// `ret`, `retaa`, `retab`, and jumps out of the function.
fn is_return(instruction: u32, at: u32, is_entry: impl Fn(u64) -> bool) -> bool {
    if matches!(instruction, 0xd65f_03c0 | 0xd65f_0bff | 0xd65f_0fff) {
        return true;
    }
    let is_jump = instruction >> 26 == 0b000101;
    let words = sign_extended(instruction & 0x03ff_ffff, 26).unwrap_or(0);
    let target = i64::from(at).saturating_add(words.saturating_mul(4));
    is_jump && u64::try_from(target).is_ok_and(is_entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_of_prologues_and_epilogues_are_read() {
        let pair = |first, second, offset, after| {
            Some(Effect::Pair { first, second: Some(second), offset, after })
        };
        // stp x29, x30, [sp, #-32]!; stp x20, x19, [sp, #16]; ldp x29, x30, [sp], #32
        assert_eq!(prologue_effect(0xa9be_7bfd), pair(29, 30, 0, -32));
        assert_eq!(prologue_effect(0xa901_4ff4), pair(20, 19, 16, 0));
        assert_eq!(epilogue_effect(0xa8c2_7bfd), pair(29, 30, 0, 32));
        assert_eq!(prologue_effect(0xa8c2_7bfd), None, "a load");
        // sub sp, sp, #48; add sp, sp, #48; mov x29, sp; stp d9, d8, [sp, #-64]!
        assert_eq!(prologue_effect(0xd100_c3ff), Some(Effect::Move(-48)));
        assert_eq!(epilogue_effect(0x9100_c3ff), Some(Effect::Move(48)));
        assert_eq!(prologue_effect(0x9100_03fd), Some(Effect::SetFrame));
        assert_eq!(prologue_effect(0x6dbc_23e9), Some(Effect::Move(-64)));
        // str x19, [sp, #-16]!; ldr x19, [sp], #16
        let single = |after| Some(Effect::Pair { first: 19, second: None, offset: 0, after });
        assert_eq!(prologue_effect(0xf81f_0ff3), single(-16));
        assert_eq!(epilogue_effect(0xf841_07f3), single(16));
        // add x0, x1, x2
        assert_eq!(prologue_effect(0x8b02_0020), None);
    }

    #[test]
    fn only_jumps_out_of_the_function_are_returns() {
        let is_entry = |address| !(0x101..0x200).contains(&address);
        assert!(is_return(0xd65f_03c0, 0x180, is_entry));
        assert!(!is_return(0x1400_0002, 0x180, is_entry), "b +8");
        assert!(is_return(0x1400_0040, 0x180, is_entry), "b +256");
    }
}
