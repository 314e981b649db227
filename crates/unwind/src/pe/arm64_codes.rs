//! Unwind codes of Windows on AArch64: what each instruction of a prologue did.
//!
//! | bits | bytes | operation |
//! |---|---|---|
//! | `000xxxxx` | 1 | stack of 16 × x bytes |
//! | `001zzzzz` | 1 | x19, x20 pushed: 8 × z bytes |
//! | `01zzzzzz`, `10zzzzzz` | 1 | x29, x30 saved at 8 × z; pushed: 8 × (z + 1) bytes |
//! | `11000xxx`+8 | 2 | stack of 16 × x bytes |
//! | `110010xx xxzzzzzz`, `110011…` | 2 | pair from x(19 + x) on saved; pushed |
//! | `110100xx xxzzzzzz`, `1101010x xxxzzzzz` | 2 | x(19 + x) saved; pushed |
//! | `1101011x xxzzzzzz` | 2 | x(19 + 2 x), x30 saved |
//! | `1101100x`, `1101101x`, `1101110x`, `11011110` | 2 | pair of d(8 + x) saved, pushed; one saved, pushed |
//! | `11011111` | 2 | stack of vector lengths (SVE) |
//! | `11100000` + 24 | 4 | stack of 16 × x bytes |
//! | `11100001` | 1 | x29 is the stack pointer |
//! | `11100010 xxxxxxxx` | 2 | x29 is the stack pointer + 8 × x |
//! | `11100011` | 1 | nothing |
//! | `11100100`, `11100101` | 1 | end; end of a chained part |
//! | `11100110` | 1 | the pair behind the one that is saved next |
//! | `11100111` + 16 | 3 | any register |
//! | `11101000` … `11101100` | 1 | trap and machine frames, contexts |
//! | `11111100` | 1 | x30 is signed |
//!
//! Source: Microsoft, "ARM64 exception handling".

use crate::bytes::u8_at;

/// Codes of one function; there are at most 255 words of them.
const MAX_OPERATIONS: usize = 1024;

/// What one instruction did, in general registers; vector registers are not unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// The stack pointer fell.
    Allocate(u64),
    /// One or two registers were saved at an offset from the stack pointer. `None`: a vector register.
    Save { first: Option<u8>, second: Option<u8>, offset: u64 },
    /// The same at the stack pointer, after it fell by so many bytes.
    Push { first: Option<u8>, second: Option<u8>, bytes: u64 },
    /// x29 was set to the stack pointer and an offset.
    SetFrame(u64),
    /// An instruction without effect on this.
    Nothing,
    /// What this part continues begins; no instruction.
    EndOfPart,
    /// Stack pointer and instruction are in a frame that an interrupt made.
    MachineFrame,
    /// All registers are in a `CONTEXT` at the stack pointer.
    Context,
}

/// Decodes operations in the order in which they are undone, up to the end. `None` when they are cut or
/// unknown.
pub(super) fn decode(codes: &[u8]) -> Option<Vec<Operation>> {
    let mut operations = Vec::new();
    let mut at = 0usize;
    // Pairs that follow the pair of the next code that saves one.
    let mut following = 0u8;
    while operations.len() < MAX_OPERATIONS {
        let code = u8_at(codes, at)?;
        let size = size(code);
        let bytes = codes.get(at..at.checked_add(size)?)?;
        match code {
            0xe4 => return Some(operations),
            0xe6 => following = following.checked_add(1)?,
            _ => {
                let operation = operation(bytes)?;
                push_following(&mut operations, operation, following)?;
                following = 0;
                operations.push(operation);
            }
        }
        at = at.checked_add(size)?;
    }
    None
}

/// How many bytes a code takes.
fn size(code: u8) -> usize {
    match code {
        0xe0 => 4,
        0xe7 => 3,
        0xc0..=0xdf | 0xe2 => 2,
        // Reserved for further kinds.
        0xf8 => 2,
        0xf9 => 3,
        0xfa => 4,
        0xfb => 5,
        _ => 1,
    }
}

/// The last pairs first: they are undone before the one that names them.
fn push_following(
    operations: &mut Vec<Operation>,
    operation: Operation,
    following: u8,
) -> Option<()> {
    let (first, second, offset) = match operation {
        _ if following == 0 => return Some(()),
        Operation::Save { first, second, offset } => (first, second, offset),
        Operation::Push { first, second, .. } => (first, second, 0),
        _ => return None,
    };
    for index in (1..=following).rev() {
        let distance = index.checked_mul(2)?;
        let behind = |register: Option<u8>| register?.checked_add(distance);
        operations.push(Operation::Save {
            first: behind(first),
            second: behind(second),
            offset: offset.checked_add(u64::from(index).checked_mul(16)?)?,
        });
    }
    Some(())
}

fn operation(bytes: &[u8]) -> Option<Operation> {
    let code = u8_at(bytes, 0)?;
    let low = |mask: u8| u64::from(code & mask);
    let pair = |first: u8| (Some(first), first.checked_add(1));
    let push = |(first, second), words: u64| {
        Some(Operation::Push { first, second, bytes: words.checked_mul(8)? })
    };
    match code {
        0x00..=0x1f => Some(Operation::Allocate(low(0x1f).checked_mul(16)?)),
        0x20..=0x3f => push(pair(19), low(0x1f)),
        0x40..=0x7f => {
            let (first, second) = pair(29);
            Some(Operation::Save { first, second, offset: low(0x3f).checked_mul(8)? })
        }
        0x80..=0xbf => push(pair(29), low(0x3f).checked_add(1)?),
        0xc0..=0xdf => two_bytes(u16::from_be_bytes([code, u8_at(bytes, 1)?])),
        0xe0 => {
            let [_, a, b, c] = *bytes else { return None };
            let blocks = u32::from_be_bytes([0, a, b, c]);
            Some(Operation::Allocate(u64::from(blocks).checked_mul(16)?))
        }
        0xe1 => Some(Operation::SetFrame(0)),
        0xe2 => Some(Operation::SetFrame(u64::from(u8_at(bytes, 1)?).checked_mul(8)?)),
        0xe3 | 0xfc => Some(Operation::Nothing),
        0xe5 => Some(Operation::EndOfPart),
        0xe7 => any_register(u8_at(bytes, 1)?, u8_at(bytes, 2)?),
        0xe9 => Some(Operation::MachineFrame),
        0xea => Some(Operation::Context),
        _ => None,
    }
}

fn two_bytes(code: u16) -> Option<Operation> {
    let bits = |from: u32, count: u32| {
        let mask = 1u16.checked_shl(count)?.checked_sub(1)?;
        u8::try_from(code.checked_shr(from)? & mask).ok()
    };
    let offset = |count: u32| u64::from(bits(0, count)?).checked_mul(8);
    let pushed = |count: u32| offset(count)?.checked_add(8);
    let register = |from: u32, count: u32| bits(from, count)?.checked_add(19);
    let save = |first, second, offset| Some(Operation::Save { first, second, offset });
    let push = |first, second, bytes| Some(Operation::Push { first, second, bytes });
    match code >> 9 {
        // 11000: the rest are 11 bits.
        0b110_0000..=0b110_0011 => {
            Some(Operation::Allocate(u64::from(code & 0x7ff).checked_mul(16)?))
        }
        0b110_0100 | 0b110_0101 => {
            let first = register(6, 4)?;
            save(Some(first), first.checked_add(1), offset(6)?)
        }
        0b110_0110 | 0b110_0111 => {
            let first = register(6, 4)?;
            push(Some(first), first.checked_add(1), pushed(6)?)
        }
        0b110_1000 | 0b110_1001 => save(Some(register(6, 4)?), None, offset(6)?),
        0b110_1010 => push(Some(register(5, 4)?), None, pushed(5)?),
        0b110_1011 => {
            let first = bits(6, 3)?.checked_mul(2)?.checked_add(19)?;
            save(Some(first), Some(30), offset(6)?)
        }
        0b110_1100 | 0b110_1110 => save(None, None, offset(6)?),
        0b110_1101 => push(None, None, pushed(6)?),
        0b110_1111 if code >> 8 == 0xde => push(None, None, pushed(5)?),
        _ => None,
    }
}

/// `0pxrrrrr ffoooooo`: pair, pushed, register; file (0: general), offset.
fn any_register(first: u8, second: u8) -> Option<Operation> {
    let (is_pair, is_pushed, number) = (first & 0x40 != 0, first & 0x20 != 0, first & 0x1f);
    let (file, units) = (second >> 6, u64::from(second & 0x3f));
    if first & 0x80 != 0 || file > 2 {
        return None;
    }
    let general = |number: u8| (file == 0).then_some(number);
    let (first, pair) = (general(number), number.checked_add(1).filter(|_| is_pair));
    let second = pair.and_then(general);
    if is_pushed {
        return Some(Operation::Push {
            first,
            second,
            bytes: units.checked_add(1)?.checked_mul(16)?,
        });
    }
    let unit = if is_pair || file == 2 { 16 } else { 8 };
    Some(Operation::Save { first, second, offset: units.checked_mul(unit)? })
}

/// The operations that a packed entry stands for: 2 flag, 11 length, 3 RegF, 4 RegI, 1 H, 2 CR, 9 frame
/// size in 16 bytes.
pub(super) fn unpack(packed: u32) -> Option<Vec<Operation>> {
    let bits = |from: u32, mask: u32| u64::from(packed >> from & mask);
    let (floats, integers, homes) = (bits(13, 7), bits(16, 0xf), bits(20, 1));
    let (chain, frame) = (bits(21, 3), bits(23, 0x1ff).checked_mul(16)?);
    let has_link = chain == 1;
    let integer_bytes = integers.checked_add(u64::from(has_link))?.checked_mul(8)?;
    let float_bytes = if floats > 0 { floats.checked_add(1)?.checked_mul(8)? } else { 0 };
    let home_bytes = homes.checked_mul(64)?;
    let saved = integer_bytes.checked_add(float_bytes)?.checked_add(home_bytes)?;
    let saved = saved.checked_next_multiple_of(16)?;
    let locals = frame.checked_sub(saved)?;
    let mut done = Vec::new();
    if chain == 2 {
        done.push(Operation::Nothing);
    }
    save_integers(&mut done, integers, has_link, saved)?;
    save_floats(&mut done, floats, integer_bytes, saved)?;
    // Homing x0 to x7: four instructions that save nothing of the caller.
    if homes > 0 {
        let fell = if integers == 0 && floats == 0 && !has_link { saved } else { 0 };
        done.push(Operation::Allocate(fell));
        done.extend([Operation::Nothing; 3]);
    }
    if chain >= 2 {
        make_frame(&mut done, locals);
    } else {
        allocate(&mut done, locals)?;
    }
    done.reverse();
    Some(done)
}

fn save_integers(
    done: &mut Vec<Operation>,
    integers: u64,
    has_link: bool,
    saved: u64,
) -> Option<()> {
    let register = |index: u64| u8::try_from(index).ok()?.checked_add(19);
    let slots = integers.checked_add(u64::from(has_link))?;
    let mut index = 0u64;
    while index < slots {
        let name = |index: u64| match index {
            _ if index >= slots => None,
            _ if index < integers => register(index),
            _ => Some(30),
        };
        // The link register goes together with the last one, where that is single.
        let is_pair = index.checked_add(1)? < slots;
        let (first, second) = (name(index), name(index.checked_add(1)?).filter(|_| is_pair));
        let operation = match index {
            0 => Operation::Push { first, second, bytes: saved },
            _ => Operation::Save { first, second, offset: index.checked_mul(8)? },
        };
        done.push(operation);
        index = index.checked_add(2)?;
    }
    Some(())
}

fn save_floats(done: &mut Vec<Operation>, floats: u64, offset: u64, saved: u64) -> Option<()> {
    if floats == 0 {
        return Some(());
    }
    let pairs = floats.checked_add(1)?.div_ceil(2);
    for pair in 0..pairs {
        let is_first = pair == 0 && done.iter().all(|one| *one == Operation::Nothing);
        done.push(if is_first {
            Operation::Push { first: None, second: None, bytes: saved }
        } else {
            let at = offset.checked_add(pair.checked_mul(16)?)?;
            Operation::Save { first: None, second: None, offset: at }
        });
    }
    Some(())
}

fn make_frame(done: &mut Vec<Operation>, locals: u64) {
    let (first, second) = (Some(29), Some(30));
    if locals <= 512 {
        done.push(Operation::Push { first, second, bytes: locals });
    } else {
        let step = locals.min(4080);
        done.push(Operation::Allocate(step));
        if locals > step {
            done.push(Operation::Allocate(locals.saturating_sub(step)));
        }
        done.push(Operation::Save { first, second, offset: 0 });
    }
    done.push(Operation::SetFrame(0));
}

fn allocate(done: &mut Vec<Operation>, locals: u64) -> Option<()> {
    if locals > 4080 {
        done.push(Operation::Allocate(4080));
        done.push(Operation::Allocate(locals.checked_sub(4080)?));
    } else if locals > 0 {
        done.push(Operation::Allocate(locals));
    }
    Some(())
}

/// Number of instructions that operations stand for.
pub(super) fn instructions(operations: &[Operation]) -> usize {
    operations.iter().take_while(|one| **one != Operation::EndOfPart).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(first: u8, second: u8, offset: u64) -> Operation {
        Operation::Save { first: Some(first), second: Some(second), offset }
    }

    #[test]
    fn codes_are_read_up_to_their_end() {
        // set_fp; save_fplr 16; save_regp x21 32; save_r19r20_x 64; end
        let codes = [0xe1, 0x42, 0xc8, 0x84, 0x28, 0xe4, 0xe3];
        let push = Operation::Push { first: Some(19), second: Some(20), bytes: 64 };
        let expected = [Operation::SetFrame(0), save(29, 30, 16), save(21, 22, 32), push];
        assert_eq!(decode(&codes).unwrap(), expected);
        assert_eq!(decode(&codes[..5]), None, "cut");
        assert_eq!(decode(&[0xff, 0xe4]), None, "unknown");
    }

    #[test]
    fn following_pairs_are_undone_first() {
        // save_next twice, save_regp x19 at 16.
        let operations = decode(&[0xe6, 0xe6, 0xc8, 0x02, 0xe4]).unwrap();
        assert_eq!(operations, [save(23, 24, 48), save(21, 22, 32), save(19, 20, 16)]);
    }

    #[test]
    fn packed_entry_stands_for_a_prologue() {
        // RegI 3, CR 3 (frame), 5 × 16 bytes: stp x19, x20, [sp, -32]!; str x21, [sp, 16];
        // stp x29, x30, [sp, -48]!; mov x29, sp
        let packed = 1 | 3 << 16 | 3 << 21 | 5 << 23;
        let expected = [
            Operation::SetFrame(0),
            Operation::Push { first: Some(29), second: Some(30), bytes: 48 },
            Operation::Save { first: Some(21), second: None, offset: 16 },
            Operation::Push { first: Some(19), second: Some(20), bytes: 32 },
        ];
        assert_eq!(unpack(packed).unwrap(), expected);
        // RegI 1, CR 1 (link register): stp x19, x30, [sp, -16]!; sub sp, sp, 32
        let packed = 1 | 1 << 16 | 1 << 21 | 3 << 23;
        let push = Operation::Push { first: Some(19), second: Some(30), bytes: 16 };
        assert_eq!(unpack(packed).unwrap(), [Operation::Allocate(32), push]);
    }
}
