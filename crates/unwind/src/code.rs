//! Ends and beginnings of x86-64 functions, told by their instructions.
//!
//! Unwind information of Windows and of macOS describes a function whose frame is complete. What
//! was interrupted while it is being made or taken down is told by the few instructions that do so:
//!
//! | bytes | instruction |
//! |---|---|
//! | `48 83 c4 ib`, `48 81 c4 id` | `add rsp, imm` |
//! | `48 8d 65 ib`, `48 8d a5 id` and with other base registers | `lea rsp, [reg + disp]` |
//! | `c9` | `leave` |
//! | `58+r`, `41 58+r` | `pop reg` |
//! | `c3`, `f3 c3`, `c2 iw` | `ret` |
//! | `e9`, `eb`, `ff /4`, `48 ff /4` | `jmp` out of the function |
//! | `50+r`, `41 50+r` | `push reg` |
//! | `48 89 e5`, `48 8b ec` | `mov rbp, rsp` |
//! | `48 83 ec ib`, `48 81 ec id` | `sub rsp, imm` |
//!
//! Source: Intel, "Software Developer's Manual", volume 2; Microsoft, "x64 prolog and epilog".

/// Instructions of one epilogue; compilers emit up to ten.
const MAX_STEPS: usize = 24;

/// A register by its number in instructions.
pub(crate) type Number = u8;

/// What an epilogue still does before it leaves the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The stack pointer grows.
    Add(i64),
    /// The stack pointer becomes a register's value and an offset.
    Lea(Number, i64),
    Pop(Number),
}

/// The steps from an instruction to the end of its function; `None` when it does not lie in an
/// epilogue. `at`: its address; `code`: the bytes from there on; `is_entry`: whether a function begins
/// at an address, so that a jump there leaves this one. (A jump elsewhere may lead to a further part of
/// this one.)
pub(crate) fn epilogue(code: &[u8], at: u64, is_entry: impl Fn(u64) -> bool) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = code;
    for _ in 0..MAX_STEPS {
        if is_leaving(rest, address_of(code, rest, at)?, &is_entry)? {
            return Some(steps);
        }
        let (step, size) = step(rest)?;
        // The stack pointer moves first, if it does.
        let is_late = matches!(step, Step::Add(_) | Step::Lea(..)) && !steps.is_empty();
        if is_late {
            return None;
        }
        steps.push(step);
        if rest.first() == Some(&LEAVE) {
            steps.push(Step::Pop(RBP));
        }
        rest = rest.get(size..)?;
    }
    None
}

const LEAVE: u8 = 0xc9;
const RSP: Number = 4;
const RBP: Number = 5;

fn address_of(code: &[u8], rest: &[u8], at: u64) -> Option<u64> {
    let passed = code.len().checked_sub(rest.len())?;
    at.checked_add(u64::try_from(passed).ok()?)
}

/// Whether the next instruction leaves the function. `None` when the bytes end.
fn is_leaving(code: &[u8], at: u64, is_entry: &impl Fn(u64) -> bool) -> Option<bool> {
    let jumps_out =
        |offset: i64, size: u64| is_entry(at.wrapping_add(size).wrapping_add_signed(offset));
    Some(match *code {
        [0xc3, ..] | [0xc2, _, _, ..] | [0xf3, 0xc3, ..] => true,
        [0xeb, offset, ..] => jumps_out(i64::from(offset.cast_signed()), 2),
        [0xe9, a, b, c, d, ..] => jumps_out(i64::from(i32::from_le_bytes([a, b, c, d])), 5),
        // Through memory or a register; a tail call.
        [0xff, modrm, ..] | [0x48..=0x4f, 0xff, modrm, ..] => modrm >> 3 & 7 == 4,
        [] => return None,
        _ => false,
    })
}

fn step(code: &[u8]) -> Option<(Step, usize)> {
    let word = |bytes: [u8; 4]| i64::from(i32::from_le_bytes(bytes));
    match *code {
        [0x48, 0x83, 0xc4, imm, ..] => Some((Step::Add(i64::from(imm.cast_signed())), 4)),
        [0x48, 0x81, 0xc4, a, b, c, d, ..] => Some((Step::Add(word([a, b, c, d])), 7)),
        [LEAVE, ..] => Some((Step::Lea(RBP, 0), 1)),
        [rex @ (0x48 | 0x49), 0x8d, modrm, ref rest @ ..] => lea(rex, modrm, rest),
        [op @ 0x58..=0x5f, ..] => Some((Step::Pop(op & 7), 1)),
        [0x41, op @ 0x58..=0x5f, ..] => Some((Step::Pop(op & 7 | 8), 2)),
        _ => None,
    }
}

/// `lea rsp, [base + displacement]`, without an index.
fn lea(rex: u8, modrm: u8, rest: &[u8]) -> Option<(Step, usize)> {
    let (mode, register, base) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
    if register != RSP || base == 4 {
        return None;
    }
    let base = base | (rex & 1) << 3;
    match (mode, rest) {
        (1, [offset, ..]) => Some((Step::Lea(base, i64::from(offset.cast_signed())), 4)),
        (2, [a, b, c, d, ..]) => {
            Some((Step::Lea(base, i64::from(i32::from_le_bytes([*a, *b, *c, *d]))), 7))
        }
        _ => None,
    }
}

/// What a prologue has done by the time it was interrupted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prologue {
    /// Registers that were pushed, in order.
    pub(crate) pushed: Vec<Number>,
    /// Bytes that the stack pointer fell beside.
    pub(crate) allocated: u64,
}

/// What the first instructions of a function do. `None` when the interrupted instruction, `offset`
/// bytes behind the start, is not one of a prologue.
pub(crate) fn prologue(code: &[u8], offset: usize) -> Option<Prologue> {
    let mut done = Prologue::default();
    let mut at = 0usize;
    for _ in 0..MAX_STEPS {
        let size = prologue_step(code.get(at..)?, &mut done, at < offset);
        let Some(size) = size else { break };
        if at >= offset {
            return (at == offset).then_some(done);
        }
        at = at.checked_add(size)?;
    }
    // At the first instruction behind, the frame is complete.
    (at == offset && offset == 0).then_some(done)
}

/// The size of a prologue's instruction; what it does is added if it was executed.
fn prologue_step(code: &[u8], done: &mut Prologue, is_executed: bool) -> Option<usize> {
    let (pushed, allocated, size) = match *code {
        [0x50..=0x57, ..] => (Some(code.first()? & 7), 0, 1),
        [0x41, op @ 0x50..=0x57, ..] => (Some(op & 7 | 8), 0, 2),
        [0x48, 0x89, 0xe5, ..] | [0x48, 0x8b, 0xec, ..] => (None, 0, 3),
        [0x48, 0x83, 0xec, imm, ..] => (None, u64::from(imm), 4),
        [0x48, 0x81, 0xec, a, b, c, d, ..] => {
            (None, u64::from(u32::from_le_bytes([a, b, c, d])), 7)
        }
        _ => return None,
    };
    if is_executed {
        done.pushed.extend(pushed);
        done.allocated = done.allocated.saturating_add(allocated);
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_entry(address: u64) -> bool {
        !(0x1001..0x1100).contains(&address)
    }

    #[test]
    fn epilogues_are_told_to_their_end() {
        let all = [0x48, 0x83, 0xc4, 0x28, 0x5b, 0x41, 0x5e, 0xc3];
        let expected = [Step::Add(0x28), Step::Pop(3), Step::Pop(14)];
        assert_eq!(epilogue(&all, 0x1080, is_entry).unwrap(), expected);
        assert_eq!(epilogue(&all[4..], 0x1084, is_entry).unwrap(), expected[1..]);
        assert_eq!(epilogue(&[0xc9, 0xc3], 0x1080, is_entry).unwrap().len(), 2);
        let lea = [0x48, 0x8d, 0xa5, 0x10, 1, 0, 0, 0x5d, 0xff, 0x25, 0, 0, 0, 0];
        let expected = [Step::Lea(5, 0x110), Step::Pop(5)];
        assert_eq!(epilogue(&lea, 0x1080, is_entry).unwrap(), expected);
    }

    #[test]
    fn jumps_inside_of_the_function_are_no_ends() {
        assert_eq!(epilogue(&[0x5b, 0xeb, 0x10], 0x1080, is_entry), None);
        assert!(epilogue(&[0x5b, 0xe9, 0, 1, 0, 0], 0x1080, is_entry).is_some());
        assert_eq!(epilogue(&[0x5b, 0x90], 0x1080, is_entry), None);
        assert_eq!(epilogue(&[0x5b], 0x1080, is_entry), None, "the bytes end");
    }

    #[test]
    fn prologues_count_what_was_executed() {
        // push rbp; mov rbp, rsp; push r14; push rbx; sub rsp, 16; nop
        let code = [0x55, 0x48, 0x89, 0xe5, 0x41, 0x56, 0x53, 0x48, 0x83, 0xec, 0x10, 0x90];
        let after = |offset| prologue(&code, offset).map(|done| (done.pushed, done.allocated));
        assert_eq!(after(0), Some((vec![], 0)));
        assert_eq!(after(1), Some((vec![5], 0)));
        assert_eq!(after(6), Some((vec![5, 14], 0)));
        assert_eq!(after(7), Some((vec![5, 14, 3], 0)));
        assert_eq!(after(11), None, "the frame is complete");
        assert_eq!(after(5), None, "inside of an instruction");
    }
}
