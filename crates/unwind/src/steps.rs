//! Steps: what an unwinder does at one address, so that it can be kept in the symbol cache.
//!
//! Exception tables of Windows, compact unwind information and `.ARM.exidx` are no rules like DWARF's but
//! programs, run on the registers at hand together with the code of prologues and epilogues. All of
//! them only add constants to registers and to words of the stack. So they are watched while they
//! unwind a frame whose registers and words are numbers far apart from each other: each address that they
//! read and each value that they give is one of these and an offset. A second frame with other numbers
//! must show the same, or the unwinder is asked anew each time.
//!
//! Little-endian, unaligned; nothing (1 byte, 0) where the file says nothing:
//!
//! | size | type | field | meaning |
//! |---|---|---|---|
//! | 1 | u8 | kind | 1 |
//! | 1 | u8 | reads | words that are read, each at a sum of what was there before |
//! | 9 each | sum | | |
//! | 9 | sum | CFA | the caller's stack pointer |
//! | 9 | sum | return address | moved as `Caller` has it |
//! | 1 | u8 | registers | of the caller |
//! | 1 each, 9 | u8, sum | | DWARF number, value; base 255: lost |
//!
//! A sum: base (u8), offset (i64). The base is the DWARF number of a register; from 64 on the words read.

use gimli::Register;
use lastwords_symbols::{Answer, Architecture, register_name};
use minidump_unwind::FrameWalker;

use crate::caller::Caller;
use crate::registers::Registers;

/// Base of the first word read; no architecture has so many registers.
pub(crate) const WORDS: u8 = 64;
/// Words read for one frame: all registers of AArch64 that are saved, with reserve.
pub(crate) const MAX_WORDS: u8 = 48;
/// Words that are read at words.
const MAX_DEPTH: usize = 8;
const LOST: u8 = u8::MAX;
const SUM_BYTES: usize = 9;

/// A register or a word, and a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) base: u8,
    pub(crate) offset: i64,
}

/// How the caller of a frame is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) reads: Vec<Sum>,
    pub(crate) cfa: Sum,
    pub(crate) return_address: Sum,
    pub(crate) registers: Vec<(u8, Option<Sum>)>,
}

impl Steps {
    /// As rules of a `STACK CFI` record: name (`.cfa`, `.ra`, `$rbx`) and value in postfix notation.
    /// `None` when they have a register without a name there.
    pub(crate) fn to_rules(&self, architecture: Architecture) -> Option<Vec<(String, String)>> {
        let say = |sum| self.say(sum, architecture, true, 0);
        let mut rules = vec![
            (".cfa".to_owned(), self.say(self.cfa, architecture, false, 0)?),
            (".ra".to_owned(), say(self.return_address)?),
        ];
        for (number, sum) in &self.registers {
            let own = Sum { base: *number, offset: 0 };
            let Some(sum) = sum.filter(|sum| *sum != own) else { continue };
            let name = register_name(architecture, Register((*number).into()))?;
            rules.push((name.to_owned(), say(sum)?));
        }
        Some(rules)
    }

    /// `has_cfa`: it may be said relative to the CFA.
    fn say(&self, sum: Sum, of: Architecture, has_cfa: bool, depth: usize) -> Option<String> {
        let base = match sum.base.checked_sub(WORDS) {
            _ if has_cfa && sum.base == self.cfa.base => {
                return Some(format!(".cfa {} +", sum.offset.checked_sub(self.cfa.offset)?));
            }
            None => register_name(of, Register(sum.base.into()))?.to_owned(),
            Some(_) if depth > MAX_DEPTH => return None,
            Some(index) => {
                let read = *self.reads.get(usize::from(index))?;
                format!("{} ^", self.say(read, of, has_cfa, depth.checked_add(1)?)?)
            }
        };
        Some(if sum.offset == 0 { base } else { format!("{base} {} +", sum.offset) })
    }
}

/// What watching an unwinder has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// The file says nothing of the address.
    Nothing,
    Steps(Steps),
    /// It does more than steps can tell.
    Opaque,
}

impl Steps {
    /// Finds the caller with the registers and the memory at hand.
    pub(crate) fn caller(
        &self,
        registers: Registers,
        walker: &(dyn FrameWalker + Send),
    ) -> Option<Caller> {
        let mut words = Vec::with_capacity(self.reads.len());
        let value = |words: &[u64], sum: Sum| {
            let base = match sum.base.checked_sub(WORDS) {
                Some(index) => *words.get(usize::from(index))?,
                None => walker.get_callee_register(registers.name(Register(sum.base.into()))?)?,
            };
            Some(registers.add(base, sum.offset))
        };
        for read in &self.reads {
            let word = walker.get_register_at_address(value(&words, *read)?)?;
            words.push(word);
        }
        let mut restored = Vec::with_capacity(self.registers.len());
        for (number, sum) in &self.registers {
            let name = registers.name(Register((*number).into()))?;
            match sum.map(|sum| value(&words, sum)) {
                None => restored.push((name, None)),
                Some(Some(value)) => restored.push((name, Some(value))),
                // A register that is not known is not handed on.
                Some(None) => {}
            }
        }
        let cfa = value(&words, self.cfa)?;
        let return_address = value(&words, self.return_address)?;
        Some(Caller::Frame { cfa, return_address, registers: restored })
    }
}

impl Answer for Watched {
    fn encode(&self) -> Option<Vec<u8>> {
        let steps = match self {
            Self::Nothing => return Some(vec![0]),
            Self::Steps(steps) => steps,
            Self::Opaque => return None,
        };
        let mut out = vec![1, u8::try_from(steps.reads.len()).ok()?];
        let fixed = [steps.cfa, steps.return_address];
        for sum in steps.reads.iter().chain(&fixed) {
            out.extend(sum.bytes());
        }
        out.push(u8::try_from(steps.registers.len()).ok()?);
        for (number, sum) in &steps.registers {
            out.push(*number);
            out.extend(sum.unwrap_or(Sum { base: LOST, offset: 0 }).bytes());
        }
        Some(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            0 if rest.is_empty() => Some(Self::Nothing),
            1 => read_steps(rest).map(Self::Steps),
            _ => None,
        }
    }
}

fn read_steps(bytes: &[u8]) -> Option<Steps> {
    let (count, rest) = bytes.split_first().filter(|(count, _)| **count <= MAX_WORDS)?;
    let (sums, rest) = rest.split_at_checked(usize::from(*count).checked_mul(SUM_BYTES)?)?;
    let reads = sums.chunks_exact(SUM_BYTES).map(Sum::read).collect::<Option<_>>()?;
    let (cfa, rest) = rest.split_at_checked(SUM_BYTES)?;
    let (return_address, rest) = rest.split_at_checked(SUM_BYTES)?;
    let (count, rest) = rest.split_first()?;
    let entries = rest.chunks(SUM_BYTES.checked_add(1)?);
    let entry = |entry: &[u8]| {
        let (number, sum) = entry.split_first()?;
        let sum = Sum::read(sum)?;
        Some((*number, (sum.base != LOST).then_some(sum)))
    };
    let registers: Vec<_> = entries.map(entry).collect::<Option<_>>()?;
    let is_whole = registers.len() == usize::from(*count);
    let (cfa, return_address) = (Sum::read(cfa)?, Sum::read(return_address)?);
    is_whole.then_some(Steps { reads, cfa, return_address, registers })
}

impl Sum {
    fn bytes(self) -> [u8; SUM_BYTES] {
        let [a, b, c, d, e, f, g, h] = self.offset.to_le_bytes();
        [self.base, a, b, c, d, e, f, g, h]
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (base, offset) = bytes.split_first()?;
        Some(Self { base: *base, offset: i64::from_le_bytes(offset.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Steps {
        let sum = |base, offset| Sum { base, offset };
        Steps {
            reads: vec![sum(7, -8), sum(64, 16)],
            cfa: sum(6, 16),
            return_address: sum(65, 1),
            registers: vec![(6, Some(sum(64, 0))), (3, None)],
        }
    }

    #[test]
    fn steps_come_back_as_they_were() {
        for watched in [Watched::Steps(steps()), Watched::Nothing] {
            let bytes = watched.encode().unwrap_or_default();
            assert_eq!(Watched::decode(&bytes), Some(watched));
            for len in 0..bytes.len() {
                assert_eq!(Watched::decode(bytes.get(..len).unwrap_or_default()), None, "{len}");
            }
        }
        assert_eq!(Watched::Opaque.encode(), None);
    }
}
