//! Exception tables of 32-bit ARM, `.ARM.exidx` and `.ARM.extab`.
//!
//! An index entry: 4 start of a function (31-bit offset from here), 4: 1 when it cannot be unwound; bit 31
//! set: the instructions themselves; else (31-bit offset from here) where they are. There, or here:
//!
//! | first byte | instructions |
//! |---|---|
//! | 0x80 | the other three bytes |
//! | 0x81, 0x82 | the last two bytes, then as many words as the second byte says |
//! | below 0x80 | (31-bit offset: a personality routine) then a word: number of words that follow, three bytes |
//!
//! Bytes are taken from the high end of each word. An instruction:
//!
//! | bits | meaning |
//! |---|---|
//! | `00xxxxxx`, `01xxxxxx` | `sp` grows, falls by 4 x + 4 |
//! | `1000iiii iiiiiiii` | r4 to r15 are popped; none: cannot be unwound |
//! | `1001nnnn` | `sp` is a register's value |
//! | `10100nnn`, `10101nnn` | r4 to r(4 + n) are popped; and r14 |
//! | `10110000` | end |
//! | `10110001 0000iiii` | r0 to r3 are popped |
//! | `10110010` + ULEB128 | `sp` grows by 0x204 + 4 x |
//! | `10110011 sssscccc`, `10111nnn` | vector registers are popped, as `FSTMX` stored them |
//! | `10110100` | the code that signs the return address is popped |
//! | `11000nnn`, `11000110`, `11000111` + 8 | registers of iWMMXt are popped |
//! | `11001000`, `11001001` + 8, `11010nnn` | vector registers are popped |
//!
//! Without a popped r15 the return address is in r14. The table describes complete frames only. Source: Arm,
//! "Exception Handling ABI for the Arm Architecture", sections 6 and 10.

use std::ops::Range;

use lastwords_symbols::Image;
use minidump_unwind::FrameWalker;

use crate::bytes::{u8_at, u32_at};
use crate::caller::Caller;

const ENTRY_BYTES: usize = 8;
const CANNOT_UNWIND: u32 = 1;
/// Words of instructions of one function.
const MAX_WORDS: usize = 256;
const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;

const NAMES: [&str; 16] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "fp", "r12", "sp", "lr",
    "pc",
];

/// Whether an entry covers an address and can be unwound.
pub(crate) fn covers(image: &Image, address: u64) -> bool {
    find(image, address).is_some()
}

/// What the entries cover, as addresses of the file.
pub(crate) fn ranges(image: &Image) -> Vec<Range<u64>> {
    let Some(section) = image.cfi_sections().exception_index else { return Vec::new() };
    let base = u32::try_from(section.address).unwrap_or_default();
    let start = |(index, entry): (usize, &[u8])| {
        let at = u32::try_from(index.checked_mul(ENTRY_BYTES)?).ok()?;
        Some(u64::from(relative(base.checked_add(at)?, u32_at(entry, 0)?)))
    };
    let entries = section.bytes.chunks_exact(ENTRY_BYTES).enumerate();
    let starts: Vec<u64> = entries.filter_map(start).collect();
    // The last one only ends the one before.
    starts.iter().zip(starts.iter().skip(1)).map(|(start, end)| *start..*end).collect()
}

/// The caller of the frame whose instruction lies at an address of the file. `None` when the file does
/// not tell.
pub(crate) fn caller(
    image: &Image,
    address: u64,
    walker: &(dyn FrameWalker + Send),
) -> Option<Caller> {
    let instructions = find(image, address)?;
    let mut machine = Machine::new(walker)?;
    machine.run(&instructions)?;
    machine.finish()
}

/// The instructions for an address.
fn find(image: &Image, address: u64) -> Option<Vec<u8>> {
    let section = image.cfi_sections().exception_index?;
    let address = u32::try_from(address).ok()?;
    let base = u32::try_from(section.address).ok()?;
    let place = |at: usize| base.checked_add(u32::try_from(at).ok()?);
    let start = |index: usize| {
        let at = index.checked_mul(ENTRY_BYTES)?;
        Some(relative(place(at)?, u32_at(section.bytes, at)?))
    };
    let (mut low, mut high) = (0usize, section.bytes.len() / ENTRY_BYTES);
    while low < high {
        let middle = low.midpoint(high);
        if start(middle)? <= address {
            low = middle.checked_add(1)?;
        } else {
            high = middle;
        }
    }
    let at = low.checked_sub(1)?.checked_mul(ENTRY_BYTES)?.checked_add(4)?;
    let word = u32_at(section.bytes, at)?;
    match word {
        CANNOT_UNWIND => None,
        _ if word >> 31 != 0 => inline(&[word]),
        _ => elsewhere(image, relative(place(at)?, word)),
    }
}

/// A 31-bit signed offset from where it stands.
fn relative(place: u32, word: u32) -> u32 {
    place.wrapping_add_signed((word << 1).cast_signed() >> 1)
}

fn elsewhere(image: &Image, address: u32) -> Option<Vec<u8>> {
    let bytes = image.bytes_at(u64::from(address), (MAX_WORDS + 2) * 4);
    let words: Vec<_> = bytes.chunks_exact(4).filter_map(|word| u32_at(word, 0)).collect();
    match words.first()? >> 31 {
        0 => generic(words.get(1..)?),
        _ => inline(&words),
    }
}

/// Instructions of one of the three personalities of the ABI.
fn inline(words: &[u32]) -> Option<Vec<u8>> {
    let (first, rest) = words.split_first()?;
    let [kind, a, b, c] = first.to_be_bytes();
    match kind {
        0x80 => Some(vec![a, b, c]),
        0x81 | 0x82 => Some(with_words(&[b, c], rest.get(..usize::from(a))?)),
        _ => None,
    }
}

/// Instructions behind a personality routine of a language.
fn generic(words: &[u32]) -> Option<Vec<u8>> {
    let (first, rest) = words.split_first()?;
    let [count, a, b, c] = first.to_be_bytes();
    Some(with_words(&[a, b, c], rest.get(..usize::from(count))?))
}

fn with_words(head: &[u8], words: &[u32]) -> Vec<u8> {
    let tail = words.iter().flat_map(|word| word.to_be_bytes());
    head.iter().copied().chain(tail).collect()
}

/// The registers, as far as they are computed.
struct Machine<'a> {
    walker: &'a (dyn FrameWalker + Send),
    vsp: u64,
    restored: [Option<u64>; 16],
}

impl<'a> Machine<'a> {
    fn new(walker: &'a (dyn FrameWalker + Send)) -> Option<Self> {
        let vsp = walker.get_callee_register("sp")?;
        Some(Self { walker, vsp, restored: [None; 16] })
    }

    fn register(&self, number: usize) -> Option<u64> {
        match self.restored.get(number)? {
            Some(value) => Some(*value),
            None => self.walker.get_callee_register(NAMES.get(number)?),
        }
    }

    fn run(&mut self, instructions: &[u8]) -> Option<()> {
        let mut at = 0usize;
        // What is behind the last instruction counts as the end.
        while let Some(first) = u8_at(instructions, at) {
            at = at.checked_add(1)?;
            let second = u8_at(instructions, at);
            let operand = u32::from(first & 0x3f).checked_mul(4)?.checked_add(4)?;
            match first {
                0x00..=0x3f => self.vsp = self.vsp.checked_add(u64::from(operand))?,
                0x40..=0x7f => self.vsp = self.vsp.checked_sub(u64::from(operand))?,
                0x80..=0x8f => {
                    let mask = u32::from(u16::from_be_bytes([first & 0xf, second?]));
                    self.pop(mask.checked_shl(4).filter(|mask| *mask != 0)?)?;
                    at = at.checked_add(1)?;
                }
                0x9d | 0x9f => return None,
                0x90..=0x9f => self.vsp = self.register(usize::from(first & 0xf))?,
                0xa0..=0xaf => self.pop(range_mask(first))?,
                0xb0 => break,
                0xb1 => {
                    self.pop(u32::from(second?).checked_rem(16).filter(|mask| *mask != 0)?)?;
                    at = at.checked_add(1)?;
                }
                0xb2 => {
                    let (words, size) = uleb128(instructions.get(at..)?)?;
                    let bytes = words.checked_mul(4)?.checked_add(0x204)?;
                    self.vsp = self.vsp.checked_add(bytes)?;
                    at = at.checked_add(size)?;
                }
                // Used by the signed return address; nothing of ours.
                0xb4 => self.skip(4)?,
                _ => {
                    let (bytes, size) = vectors(first, second)?;
                    self.skip(bytes)?;
                    at = at.checked_add(size)?;
                }
            }
        }
        Some(())
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.vsp = self.vsp.checked_add(bytes)?;
        Some(())
    }

    /// Pops the registers of a mask, the lowest first.
    fn pop(&mut self, mask: u32) -> Option<()> {
        let mut address = self.vsp;
        for number in (0..16usize).filter(|number| mask >> number & 1 != 0) {
            *self.restored.get_mut(number)? = Some(self.walker.get_register_at_address(address)?);
            address = address.checked_add(4)?;
        }
        // A popped stack pointer is where the frame's caller is.
        self.vsp = self
            .restored
            .get(SP)
            .copied()
            .flatten()
            .filter(|_| mask >> SP & 1 != 0)
            .unwrap_or(address);
        Some(())
    }

    fn finish(self) -> Option<Caller> {
        let return_address = match self.restored.get(PC)? {
            Some(address) => *address,
            None => self.register(LR)?,
        };
        let restored = self.restored.iter().zip(NAMES).take(PC).enumerate();
        let registers = restored
            .filter(|(number, _)| *number != SP)
            .filter_map(|(_, (value, name))| value.map(|value| (name, Some(value))))
            .collect();
        Some(Caller::Frame { cfa: self.vsp & u64::from(u32::MAX), return_address, registers })
    }
}

/// r4 to r(4 + n), and r14 with bit 3.
fn range_mask(instruction: u8) -> u32 {
    let count = u32::from(instruction & 7).saturating_add(1);
    let low = 1u32.checked_shl(count).unwrap_or(0).saturating_sub(1);
    let link = if instruction & 8 != 0 { 1 << LR } else { 0 };
    low << 4 | link
}

/// Bytes that a pop of vector registers takes, and further bytes of the instruction.
fn vectors(first: u8, second: Option<u8>) -> Option<(u64, usize)> {
    let doubles = |count: u8| u64::from(count).checked_add(1)?.checked_mul(8);
    let operand = || second.map(|second| second & 0xf);
    match first {
        0xb3 => Some((doubles(operand()?)?.checked_add(4)?, 1)),
        0xb8..=0xbf => Some((doubles(first & 7)?.checked_add(4)?, 0)),
        0xc6 | 0xc8 | 0xc9 => Some((doubles(operand()?)?, 1)),
        0xc7 => Some((u64::from(operand()?.count_ones()).checked_mul(4)?, 1)),
        0xc0..=0xc5 | 0xd0..=0xd7 => Some((doubles(first & 7)?, 0)),
        _ => None,
    }
}

/// The number, and the bytes it takes.
fn uleb128(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value, index.checked_add(1)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_signed_and_of_31_bits() {
        assert_eq!(relative(0x1000, 0x10), 0x1010);
        assert_eq!(relative(0x1000, 0x7fff_fff0), 0xff0);
    }

    #[test]
    fn instructions_are_taken_from_the_high_end() {
        assert_eq!(inline(&[0x80a8_b0b0]).unwrap(), [0xa8, 0xb0, 0xb0]);
        assert_eq!(
            inline(&[0x8101_b240, 0x84a8_b0b0]).unwrap(),
            [0xb2, 0x40, 0x84, 0xa8, 0xb0, 0xb0]
        );
        assert_eq!(inline(&[0x8101_b240]), None, "cut");
        assert_eq!(generic(&[0x00a8_b0b0]).unwrap(), [0xa8, 0xb0, 0xb0]);
        assert_eq!(inline(&[0x8300_0000]), None);
    }

    #[test]
    fn masks_and_sizes_follow_the_abi() {
        assert_eq!(range_mask(0xa8), 1 << 4 | 1 << 14);
        assert_eq!(range_mask(0xa3), 0b1111 << 4);
        assert_eq!(vectors(0xb9, None), Some((20, 0)));
        assert_eq!(vectors(0xc9, Some(0x83)), Some((32, 1)));
        assert_eq!(vectors(0xff, None), None);
        assert_eq!(uleb128(&[0x80, 0x01]), Some((128, 2)));
        assert_eq!(uleb128(&[0x80]), None);
    }
}
